/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parameters of the fake host: values are kept as text and parsed when they are asked for, after
 * all of them have been checked once. See fakehost.h.
 */
#include "fakehost_impl.h"

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

/* What the names of a group's members begin with. */
static void group_prefix(const struct fake_cfg *cfg, const struct bp_param *param, uint32_t index,
			 char prefix[FAKE_NAME_MAX])
{
	if (param->flags & BP_P_REPEATED)
		snprintf(prefix, FAKE_NAME_MAX, "%.60s%.48s[%u].", cfg->prefix, param->name, index);
	else
		snprintf(prefix, FAKE_NAME_MAX, "%.60s%.60s.", cfg->prefix, param->name);
}

/* Whether any member of a group has been given. */
static bool group_given(const struct fake_cfg *cfg, const struct bp_param *param, uint32_t index)
{
	char prefix[FAKE_NAME_MAX];

	if (index && !(param->flags & BP_P_REPEATED))
		return false;
	group_prefix(cfg, param, index, prefix);
	for (size_t i = 0; i < cfg->dev->pair_count; i++)
		if (!strncmp(cfg->dev->pairs[i].name, prefix, strlen(prefix)))
			return true;
	return false;
}

/* The values of a group. */
static struct fake_cfg group_level(const struct fake_cfg *cfg, const struct bp_param *param, uint32_t index)
{
	struct fake_cfg level = *cfg;

	level.table = param->group;
	level.stride = param->group_stride;
	level.count = param->group_count;
	group_prefix(cfg, param, index, level.prefix);
	return level;
}

static struct fake_cfg *cfg_add(struct fakehost_dev *dev, const struct fake_cfg *level)
{
	struct fake_cfg *cfg = calloc(1, sizeof(*cfg));
	struct fake_cfg **at = &dev->cfgs;

	if (!cfg)
		return NULL;
	*cfg = *level;
	cfg->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = cfg;
	return cfg;
}

/* Whether `name`, up to `dot`, is a group of this level; that becomes the level then. Lists have no gaps. */
static bool enter_group(struct fake_cfg *level, const char *name, const char *dot)
{
	const char *bracket = memchr(name, '[', (size_t)(dot - name));
	unsigned long index = bracket ? strtoul(bracket + 1, NULL, 10) : 0;
	char prefix[FAKE_NAME_MAX];
	struct bp_param param;

	if (!param_find(level, name, (size_t)((bracket ? bracket : dot) - name), &param) || param.type != BP_P_GROUP ||
	    index > FAKE_PAIRS_MAX)
		return false;
	group_prefix(level, &param, (uint32_t)index, prefix);
	/* Spelt as it is looked for. */
	if (strncmp(prefix + strlen(level->prefix), name, (size_t)(dot + 1 - name)) != 0 ||
	    (index && !group_given(level, &param, (uint32_t)index - 1)))
		return false;
	*level = group_level(level, &param, (uint32_t)index);
	return true;
}

/* One value that has been given: its name leads to a parameter, its text is one of that type, it
 * is not there twice. */
static int check_pair(struct fakehost_dev *dev, const struct fakehost_pair *pair)
{
	struct fake_cfg level = *dev->cfgs;
	const char *name = pair->name;
	struct bp_param param;
	uint64_t number;

	for (const char *dot; (dot = strchr(name, '.')); name = dot + 1)
		if (!enter_group(&level, name, dot))
			break;
	if (!param_find(&level, name, strlen(name), &param)) {
		fake_log(dev->host, dev, BP_LOG_ERROR, "%s: no such parameter", pair->name);
		return -EINVAL;
	}
	if (!fake_parse(&param, pair->value, &number) || !fake_in_bounds(&param, number)) {
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
		if (!param.name ||
		    (param.def && !(fake_parse(&param, param.def, &number) && fake_in_bounds(&param, number)))) {
			fake_breach(cfg->dev, "parameter %u has no name or a wrong default", i);
			return -EINVAL;
		}
		if (param.type == BP_P_GROUP) {
			if (depth >= FAKE_DEPTH_MAX)
				return -EINVAL;
			for (uint32_t j = 0; group_given(cfg, &param, j); j++) {
				struct fake_cfg group = group_level(cfg, &param, j);

				if (check_table(&group, depth + 1) < 0)
					return -EINVAL;
			}
		} else if ((param.flags & BP_P_REQUIRED) && !value_at(cfg, &param, 0)) {
			fake_log(cfg->dev->host, cfg->dev, BP_LOG_ERROR, "%s%s is missing", cfg->prefix, param.name);
			return -EINVAL;
		}
	}
	return 0;
}

int fake_cfg_new(struct fakehost_dev *dev, const struct fakehost_pair *values)
{
	const struct fake_cfg top = {
		.cfg.host = &dev->host->table,
		.dev = dev,
		.table = dev->class_table.params,
		.stride = dev->class_table.param_stride,
		.count = dev->class_table.param_count,
	};

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
	if (!cfg_add(dev, &top))
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

const char *fake_cfg_text(const struct fakehost_dev *dev, const char *name, uint32_t index, struct bp_param *ret)
{
	return param_find(dev->cfgs, name, strlen(name), ret) ? value_at(dev->cfgs, ret, index) : NULL;
}

uint64_t fake_cfg_number(struct fakehost_dev *dev, const char *name, uint64_t otherwise)
{
	struct bp_param param;
	const char *text;
	uint64_t number;

	if (!param_find(dev->cfgs, name, strlen(name), &param))
		return otherwise;
	text = value_at(dev->cfgs, &param, 0);
	return text && fake_parse(&param, text, &number) ? number : otherwise;
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
		return group_given(own, ret, index) ? "" : NULL;
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

	return text && fake_parse(&param, text, &number) ? number : 0;
}

static int64_t host_cfg_int(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPE(BP_P_INT), FAKE_VALIDATE | FAKE_CREATE, &param);
	uint64_t number = 0;

	return text && fake_parse(&param, text, &number) ? (int64_t)number : 0;
}

static const char *host_cfg_string(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	struct bp_param param;
	const char *text =
	    ask(cfg, name, index,
		TYPE(BP_P_STRING) | TYPE(BP_P_CHOICE) | TYPE(BP_P_FILE) | TYPE(BP_P_SOCKET) | TYPE(BP_P_NETWORK),
		FAKE_VALIDATE | FAKE_CREATE, &param);

	return text ? text : "";
}

/* The file or socket of a parameter, or the one that another device has in the same place. The fd, or -errno. */
static int file_open(const struct fake_cfg *cfg, const struct bp_param *param, const char *path, struct fake_file *file)
{
	const struct fakehost_dev *lender = cfg->dev->host->lender;
	struct bp_param other;
	const char *readonly = NULL;
	int flags = O_RDONLY | O_CLOEXEC;
	int fd;

	for (size_t i = 0; lender && i < lender->file_count; i++) {
		if (strcmp(lender->files[i].name, file->name) != 0 || lender->files[i].index != file->index)
			continue;
		fd = fcntl(lender->files[i].fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	if (param->type == BP_P_SOCKET)
		return fake_listen(path, &file->made);
	if (param->readonly_param && param_find(cfg, param->readonly_param, strlen(param->readonly_param), &other))
		readonly = value_at(cfg, &other, 0);
	if (param->flags & BP_P_WRITE && !(readonly && !strcmp(readonly, "true")))
		flags = O_RDWR | O_CLOEXEC;
	fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

static int host_cfg_fd(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct fake_cfg *own = (const struct fake_cfg *)cfg;
	struct fakehost_dev *dev = own->dev;
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPE(BP_P_FILE) | TYPE(BP_P_SOCKET), FAKE_CREATE, &param);
	struct fake_file file = { .index = index };

	if (!text || (param.type == BP_P_SOCKET && !(param.flags & BP_P_LISTEN)))
		return -1;
	snprintf(file.name, sizeof(file.name), "%.60s%.60s", own->prefix, name);
	for (size_t i = 0; i < dev->file_count; i++)
		if (!strcmp(dev->files[i].name, file.name) && dev->files[i].index == index)
			return dev->files[i].fd;
	if (dev->file_count == FAKE_FILES_MAX)
		return -1;
	file.fd = file_open(own, &param, text, &file);
	if (file.fd < 0) {
		fake_log(dev->host, dev, BP_LOG_ERROR, "%s: %s", text, strerror(-file.fd));
		return -1;
	}
	dev->files[dev->file_count++] = file;
	return file.fd;
}

static int host_cfg_network(const struct bp_cfg *cfg, const char *name, uint32_t index, struct bp_network *ret)
{
	const struct fake_cfg *own = (const struct fake_cfg *)cfg;
	struct bp_param param;
	const char *text = ask(cfg, name, index, TYPE(BP_P_NETWORK), FAKE_CREATE, &param);
	uint64_t pairs = 1;

	if (!text)
		return -ENOENT;
	if (param.pairs_param)
		pairs = fake_cfg_number(own->dev, param.pairs_param, 1);
	if (pairs < 1 || pairs > BP_NETWORK_FDS_MAX || own->prefix[0]) {
		fake_breach(own->dev, "network '%s' is in a group or has a number of queue pairs that cannot be", name);
		return -EINVAL;
	}
	return fake_network_get(own->dev, name, index, text, (uint32_t)pairs, ret);
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
	stream->columns = dev->host->columns;
	stream->rows = dev->host->rows;
	memcpy(stream->name, full, sizeof(full));
	dev->streams[dev->stream_count++] = stream;
	return stream;
}

static const struct bp_cfg *host_cfg_group(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct fake_cfg *own = (const struct fake_cfg *)cfg;
	struct fake_cfg level, *group;
	struct bp_param param;

	if (!ask(cfg, name, index, TYPE(BP_P_GROUP), FAKE_VALIDATE | FAKE_CREATE, &param))
		return NULL;
	level = group_level(own, &param, index);
	group = cfg_add(own->dev, &level);
	return group ? &group->cfg : NULL;
}

void fake_cfg_fill(struct bp_host *table)
{
	table->cfg_count = host_cfg_count;
	table->cfg_uint = host_cfg_uint;
	table->cfg_int = host_cfg_int;
	table->cfg_string = host_cfg_string;
	table->cfg_fd = host_cfg_fd;
	table->cfg_network = host_cfg_network;
	table->cfg_stream = host_cfg_stream;
	table->cfg_group = host_cfg_group;
}
