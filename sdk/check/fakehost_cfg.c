/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parameters of the fake host: values are kept as text and parsed when they are asked for, after
 * all of them have been checked once. See fakehost.h.
 */
#include "fakehost_impl.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static bool param_at(const struct fake_cfg *cfg, uint32_t index, struct bp_param *ret)
{
	if (index >= cfg->count)
		return false;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, (const char *)cfg->table + (size_t)index * cfg->stride,
	       cfg->stride < sizeof(*ret) ? cfg->stride : sizeof(*ret));
	return true;
}

static bool param_find(const struct fake_cfg *cfg, const char *name, size_t length, struct bp_param *ret)
{
	for (uint32_t i = 0; param_at(cfg, i, ret); i++)
		if (ret->name && strlen(ret->name) == length && !memcmp(ret->name, name, length))
			return true;
	return false;
}

/* ---- text to numbers ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "min", UINT64_C(60000000000) },
	{ "h", UINT64_C(3600000000000) },
	{ NULL, 0 },
};

static bool parse_units(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	for (; units->name; units++)
		if (!strcmp(end, units->name))
			return !__builtin_mul_overflow(number, units->factor, ret);
	return false;
}

/* Six pairs of hexadecimal digits; the first byte is the lowest of the number. */
static bool parse_mac(const char *text, uint64_t *ret)
{
	static const char pattern[] = "hh:hh:hh:hh:hh:hh";
	uint64_t number = 0;

	if (strlen(text) != sizeof(pattern) - 1)
		return false;
	for (size_t i = 0; i < sizeof(pattern) - 1; i++)
		if (pattern[i] == 'h' ? !isxdigit((unsigned char)text[i]) : text[i] != pattern[i])
			return false;
	for (unsigned int byte = 0; byte < 6; byte++)
		number |= (uint64_t)strtoul(text + (size_t)3 * byte, NULL, 16) << 8 * byte;
	*ret = number;
	return true;
}

static bool parse_choice(const struct bp_param *param, const char *text, uint64_t *ret)
{
	for (uint64_t i = 0; param->choices && param->choices[i]; i++) {
		if (!strcmp(param->choices[i], text)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* Numbers of any type; INT as two's complement. Other types have none, and any text. */
static bool parse(const struct bp_param *param, const char *text, uint64_t *ret)
{
	static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
	char *end;

	*ret = 0;
	switch (param->type) {
	case BP_P_BOOL:
		*ret = !strcmp(text, "true");
		return *ret || !strcmp(text, "false");
	case BP_P_INT:
		errno = 0;
		*ret = (uint64_t)strtoll(text, &end, 10);
		return *text && !*end && !errno;
	case BP_P_UINT:
		return parse_units(text, no_units, ret);
	case BP_P_SIZE:
		return parse_units(text, size_units, ret);
	case BP_P_DURATION:
		return parse_units(text, duration_units, ret);
	case BP_P_ADDRESS:
		errno = 0;
		*ret = strtoull(text, &end, 0);
		return *text >= '0' && *text <= '9' && !*end && !errno;
	case BP_P_CHOICE:
		return parse_choice(param, text, ret);
	case BP_P_MAC:
		return parse_mac(text, ret);
	default:
		return param->type >= BP_P_BOOL && param->type < BP_P_GROUP;
	}
}

static bool in_bounds(const struct bp_param *param, uint64_t number)
{
	if (!param->min && !param->max)
		return true;
	if (param->type == BP_P_INT)
		return (int64_t)number >= param->min && (int64_t)number <= param->max;
	if (param->type != BP_P_UINT && param->type != BP_P_SIZE && param->type != BP_P_DURATION)
		return true;
	return number <= INT64_MAX && (int64_t)number >= param->min && (int64_t)number <= param->max;
}

/* ---- values ---- */

/* The text of a value, its default included, or NULL. */
static const char *value_at(const struct fake_cfg *cfg, const struct bp_param *param, uint32_t index)
{
	const struct fakehost_dev *dev = cfg->dev;
	size_t prefix = strlen(cfg->prefix);
	uint32_t seen = 0;

	for (size_t i = 0; i < dev->pair_count; i++) {
		const struct fakehost_pair *pair = &dev->pairs[i];

		if (!strncmp(pair->name, cfg->prefix, prefix) && !strcmp(pair->name + prefix, param->name) &&
		    seen++ == index)
			return pair->value;
	}
	return !seen && !index ? param->def : NULL;
}

/* Whether any member of a group has been given. */
static bool group_given(const struct fake_cfg *cfg, const struct bp_param *param)
{
	char prefix[FAKE_NAME_MAX];
	int length = snprintf(prefix, sizeof(prefix), "%s%s.", cfg->prefix, param->name);

	for (size_t i = 0; length > 0 && (size_t)length < sizeof(prefix) && i < cfg->dev->pair_count; i++)
		if (!strncmp(cfg->dev->pairs[i].name, prefix, (size_t)length))
			return true;
	return false;
}

static struct fake_cfg *cfg_add(struct fakehost_dev *dev, const struct fake_cfg *parent, const struct bp_param *group)
{
	struct fake_cfg *cfg = calloc(1, sizeof(*cfg));
	struct fake_cfg **at = &dev->cfgs;

	if (!cfg)
		return NULL;
	cfg->cfg.host = &dev->host->table;
	cfg->dev = dev;
	cfg->table = group ? group->group : dev->class_table.params;
	cfg->stride = group ? group->group_stride : dev->class_table.param_stride;
	cfg->count = group ? group->group_count : dev->class_table.param_count;
	if (group)
		snprintf(cfg->prefix, sizeof(cfg->prefix), "%.60s%.60s.", parent->prefix, group->name);
	while (*at)
		at = &(*at)->next;
	*at = cfg;
	return cfg;
}

/* One value that has been given: its name leads to a parameter, its text is one of that type, it
 * is not there twice. */
static int check_pair(struct fakehost_dev *dev, const struct fakehost_pair *pair)
{
	struct fake_cfg level = *dev->cfgs;
	const char *name = pair->name;
	struct bp_param param;
	uint64_t number;

	for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
		if (!param_find(&level, name, (size_t)(dot - name), &param) || param.type != BP_P_GROUP)
			break;
		level.table = param.group;
		level.stride = param.group_stride;
		level.count = param.group_count;
		snprintf(level.prefix, sizeof(level.prefix), "%.*s", (int)(dot + 1 - pair->name), pair->name);
	}
	if (!param_find(&level, name, strlen(name), &param)) {
		fake_log(dev->host, dev, BP_LOG_ERROR, "%s: no such parameter", pair->name);
		return -EINVAL;
	}
	if (!parse(&param, pair->value, &number) || !in_bounds(&param, number)) {
		fake_log(dev->host, dev, BP_LOG_ERROR, "%s: '%s' is not a value of it", pair->name, pair->value);
		return -EINVAL;
	}
	if (!(param.flags & BP_P_REPEATED) && value_at(&level, &param, 1)) {
		fake_log(dev->host, dev, BP_LOG_ERROR, "%s: given more than once", pair->name);
		return -EINVAL;
	}
	return 0;
}

static int check_table(const struct fake_cfg *cfg, int depth)
{
	struct bp_param param;
	uint64_t number;

	for (uint32_t i = 0; param_at(cfg, i, &param); i++) {
		if (!param.name || (param.def && !(parse(&param, param.def, &number) && in_bounds(&param, number)))) {
			fake_breach(cfg->dev, "parameter %u has no name or a wrong default", i);
			return -EINVAL;
		}
		if (param.type == BP_P_GROUP) {
			struct fake_cfg group = *cfg;

			group.table = param.group;
			group.stride = param.group_stride;
			group.count = param.group_count;
			snprintf(group.prefix, sizeof(group.prefix), "%.60s%.60s.", cfg->prefix, param.name);
			if (depth >= FAKE_DEPTH_MAX)
				return -EINVAL;
			if (group_given(cfg, &param) && check_table(&group, depth + 1) < 0)
				return -EINVAL;
		} else if ((param.flags & BP_P_REQUIRED) && !value_at(cfg, &param, 0)) {
			fake_log(cfg->dev->host, cfg->dev, BP_LOG_ERROR, "%s%s is missing", cfg->prefix, param.name);
			return -EINVAL;
		}
	}
	return 0;
}

int fake_cfg_new(struct fakehost_dev *dev, const struct fakehost_pair *values)
{
	for (; values && values->name; values++) {
		struct fakehost_pair *pair = &dev->pairs[dev->pair_count];

		if (dev->pair_count == FAKE_PAIRS_MAX)
			return -EINVAL;
		pair->name = strdup(values->name);
		pair->value = strdup(values->value);
		dev->pair_count++;
		if (!pair->name || !pair->value)
			return -ENOMEM;
	}
	if (!cfg_add(dev, NULL, NULL))
		return -ENOMEM;
	for (size_t i = 0; i < dev->pair_count; i++) {
		int r = check_pair(dev, &dev->pairs[i]);

		if (r < 0)
			return r;
	}
	return check_table(dev->cfgs, 0);
}

void fake_cfg_free(struct fakehost_dev *dev)
{
	for (size_t i = 0; i < dev->pair_count; i++) {
		free((void *)(uintptr_t)dev->pairs[i].name);
		free((void *)(uintptr_t)dev->pairs[i].value);
	}
	while (dev->cfgs) {
		struct fake_cfg *next = dev->cfgs->next;

		free(dev->cfgs);
		dev->cfgs = next;
	}
}

uint64_t fake_cfg_number(struct fakehost_dev *dev, const char *name, uint64_t otherwise)
{
	struct bp_param param;
	const char *text;
	uint64_t number;

	if (!param_find(dev->cfgs, name, strlen(name), &param))
		return otherwise;
	text = value_at(dev->cfgs, &param, 0);
	return text && parse(&param, text, &number) ? number : otherwise;
}

/* ---- the functions of struct bp_host ---- */

#define TYPE(type) (1u << (type))
#define TYPES_UINT                                                                                       \
	(TYPE(BP_P_BOOL) | TYPE(BP_P_UINT) | TYPE(BP_P_SIZE) | TYPE(BP_P_DURATION) | TYPE(BP_P_CHOICE) | \
	 TYPE(BP_P_MAC) | TYPE(BP_P_ADDRESS))

/* What a getter asks for: the parameter in *ret and its text, or NULL. A breach if there is no
 * such parameter of one of `types`, or it is not the time. */
static const char *ask(const struct bp_cfg *cfg, const char *name, uint32_t index, uint32_t types, uint32_t where,
		       struct bp_param *ret)
{
	const struct fake_cfg *own = (const struct fake_cfg *)cfg;

	if (fake_tag(own->dev, where, "a getter of parameters"))
		return NULL;
	if (!param_find(own, name, strlen(name), ret) || !(TYPE(ret->type) & types)) {
		fake_breach(own->dev, "parameter '%s%s' does not exist or has another type", own->prefix, name);
		return NULL;
	}
	if (ret->type == BP_P_GROUP)
		return !index && group_given(own, ret) ? "" : NULL;
	return value_at(own, ret, index);
}

static uint32_t host_cfg_count(const struct bp_cfg *cfg, const char *name)
{
	struct bp_param param;
	uint32_t count = 0;

	while (ask(cfg, name, count, UINT32_MAX, FAKE_VALIDATE | FAKE_CREATE, &param))
		count++;
	return count;
}

static uint64_t host_cfg_uint(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPES_UINT, FAKE_VALIDATE | FAKE_CREATE, &param);
	uint64_t number = 0;

	return text && parse(&param, text, &number) ? number : 0;
}

static int64_t host_cfg_int(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPE(BP_P_INT), FAKE_VALIDATE | FAKE_CREATE, &param);
	uint64_t number = 0;

	return text && parse(&param, text, &number) ? (int64_t)number : 0;
}

static const char *host_cfg_string(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPE(BP_P_STRING) | TYPE(BP_P_CHOICE) | TYPE(BP_P_FILE),
			       FAKE_VALIDATE | FAKE_CREATE, &param);

	return text ? text : "";
}

static int host_cfg_fd(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct fake_cfg *own = (const struct fake_cfg *)cfg;
	struct fakehost_dev *dev = own->dev;
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPE(BP_P_FILE), FAKE_CREATE, &param);
	struct fake_file *file = &dev->files[dev->file_count];
	char full[FAKE_NAME_MAX];

	if (!text)
		return -1;
	snprintf(full, sizeof(full), "%.60s%.60s", own->prefix, name);
	for (size_t i = 0; i < dev->file_count; i++)
		if (!strcmp(dev->files[i].name, full) && dev->files[i].index == index)
			return dev->files[i].fd;
	if (dev->file_count == FAKE_FILES_MAX)
		return -1;
	file->fd = open(text, (param.flags & BP_P_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (file->fd < 0) {
		fake_log(dev->host, dev, BP_LOG_ERROR, "%s: %s", text, strerror(errno));
		return -1;
	}
	memcpy(file->name, full, sizeof(full));
	file->index = index;
	dev->file_count++;
	return file->fd;
}

static struct bp_stream *host_cfg_stream(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct fake_cfg *own = (const struct fake_cfg *)cfg;
	struct fakehost_dev *dev = own->dev;
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPE(BP_P_STREAM), FAKE_CREATE, &param);
	struct bp_stream *stream;
	char full[FAKE_NAME_MAX];

	if (!text)
		return NULL;
	snprintf(full, sizeof(full), "%.60s%.60s", own->prefix, name);
	stream = fakehost_stream(dev, full);
	if (stream || dev->stream_count == FAKE_STREAMS_MAX)
		return stream;
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return NULL;
	stream->in = malloc(FAKEHOST_STREAM_IN_MAX);
	if (!stream->in) {
		free(stream);
		return NULL;
	}
	stream->dev = dev;
	stream->room = SIZE_MAX;
	memcpy(stream->name, full, sizeof(full));
	dev->streams[dev->stream_count++] = stream;
	return stream;
}

static const struct bp_cfg *host_cfg_group(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct fake_cfg *own = (const struct fake_cfg *)cfg;
	struct bp_param param;
	struct fake_cfg *group;

	if (!ask(cfg, name, index, TYPE(BP_P_GROUP), FAKE_VALIDATE | FAKE_CREATE, &param))
		return NULL;
	group = cfg_add(own->dev, own, &param);
	return group ? &group->cfg : NULL;
}

void fake_cfg_fill(struct bp_host *table)
{
	table->cfg_count = host_cfg_count;
	table->cfg_uint = host_cfg_uint;
	table->cfg_int = host_cfg_int;
	table->cfg_string = host_cfg_string;
	table->cfg_fd = host_cfg_fd;
	table->cfg_stream = host_cfg_stream;
	table->cfg_group = host_cfg_group;
}
