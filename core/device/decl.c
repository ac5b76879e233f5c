/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Declarations as bytes; see decl.h. What comes in is made into the tables that a plugin would have in its memory, and
 * those are copied as a loaded plugin's are: there is one place where a rule is checked. Nothing of them is left
 * afterwards.
 */
#include "core/device/decl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef void (*callback_fn)(void);

/* Where in the tables callbacks are; their bits in the declaration are in this order. */
static const size_t device_callbacks[] = {
	offsetof(struct bp_device_class, validate), offsetof(struct bp_device_class, create),
	offsetof(struct bp_device_class, start),    offsetof(struct bp_device_class, access),
	offsetof(struct bp_device_class, reset),    offsetof(struct bp_device_class, stop),
	offsetof(struct bp_device_class, destroy),  offsetof(struct bp_device_class, quiesce),
	offsetof(struct bp_device_class, save),     offsetof(struct bp_device_class, load),
	offsetof(struct bp_device_class, resume),
};

static const size_t virtio_callbacks[] = {
	offsetof(struct bp_virtio_class, activate),
	offsetof(struct bp_virtio_class, classify),
	offsetof(struct bp_virtio_class, request),
	offsetof(struct bp_virtio_class, config_changed),
};

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))
static_assert(sizeof(callback_fn) == sizeof(void (*)(void *)), "all are of one size");

/* ---- packing ---- */

static void pack_callbacks(struct pack_writer *writer, const void *table, const size_t *offsets, uint32_t count)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < count; i++) {
		callback_fn callback;

		memcpy(&callback, (const uint8_t *)table + offsets[i], sizeof(callback));
		if (callback)
			mask |= 1u << i;
	}
	pack_u32(writer, mask);
}

/* Its depth is bounded, since it has been copied. */
static void pack_schema(struct pack_writer *writer, const struct schema *schema)
{
	pack_u32(writer, schema ? (uint32_t)schema->count : 0);
	for (size_t i = 0; schema && i < schema->count; i++) {
		const struct param *param = &schema->params[i];

		pack_text(writer, param->name);
		pack_u32(writer, param->type);
		pack_u32(writer, param->flags);
		pack_text(writer, param->def);
		pack_u64(writer, (uint64_t)param->min);
		pack_u64(writer, (uint64_t)param->max);
		pack_u32(writer, (uint32_t)param->choice_count);
		for (size_t j = 0; j < param->choice_count; j++)
			pack_text(writer, param->choices[j]);
		pack_text(writer, param->help);
		pack_text(writer, param->readonly_param);
		pack_text(writer, param->pairs_param);
		pack_schema(writer, param->group);
	}
}

static void pack_virtio(struct pack_writer *writer, const struct plugin_class *class)
{
	const struct class_virtio *virtio = &class->decl.virtio;

	pack_u32(writer, virtio->id);
	if (!virtio->id)
		return;
	pack_u32(writer, virtio->queue_count);
	pack_u32(writer, virtio->queue_size);
	pack_u32(writer, virtio->config_bytes);
	pack_u32(writer, virtio->scratch_bytes);
	pack_u64(writer, virtio->features);
	pack_callbacks(writer, &class->virtio, virtio_callbacks, COUNT_OF(virtio_callbacks));
}

static void pack_class(struct pack_writer *writer, const struct plugin_class *class)
{
	const struct class_decl *decl = &class->decl;

	pack_text(writer, decl->name);
	pack_text(writer, decl->summary);
	pack_text(writer, decl->hid);
	pack_text(writer, decl->compatible);
	pack_u32(writer, decl->facts);
	pack_u32(writer, decl->state_version);
	pack_callbacks(writer, &class->callbacks, device_callbacks, COUNT_OF(device_callbacks));
	pack_schema(writer, decl->schema);
	pack_u32(writer, (uint32_t)decl->range_count);
	for (size_t i = 0; i < decl->range_count; i++) {
		pack_u32(writer, decl->ranges[i].space);
		pack_u32(writer, decl->ranges[i].widths);
		pack_u64(writer, decl->ranges[i].length);
		pack_text(writer, decl->ranges[i].base_param);
	}
	pack_u32(writer, (uint32_t)decl->irq_count);
	for (size_t i = 0; i < decl->irq_count; i++)
		pack_text(writer, decl->irqs[i].line_param);
	pack_virtio(writer, class);
}

void decl_pack(const struct plugin *plugin, struct pack_writer *writer)
{
	pack_u32(writer, BP_ABI_MAJOR);
	pack_u32(writer, plugin->abi_minor);
	pack_text(writer, plugin->id);
	pack_text(writer, plugin->version);
	pack_u32(writer, (uint32_t)plugin->class_count);
	for (size_t i = 0; i < plugin->class_count; i++)
		pack_class(writer, &plugin->classes[i]);
}

/* ---- unpacking ---- */

/* The tables while they are made, and everything that they point to. */
struct tables {
	struct pack_reader reader;
	uint32_t param_total; /* of the class that is read */
	size_t owned_count, owned_cap;
	void **owned;
};

static void tables_free(struct tables *tables)
{
	for (size_t i = 0; i < tables->owned_count; i++)
		free(tables->owned[i]);
	free(tables->owned);
}

/* Takes an allocation over; NULL is fine. NULL without memory. */
static void *keep(struct tables *tables, void *allocated)
{
	if (!allocated)
		return NULL;
	if (tables->owned_count == tables->owned_cap) {
		size_t cap = tables->owned_cap ? tables->owned_cap * 2 : 64;
		void **owned = reallocarray(tables->owned, cap, sizeof(*owned));

		if (!owned) {
			tables->reader.error = -ENOMEM;
			free(allocated);
			return NULL;
		}
		tables->owned = owned;
		tables->owned_cap = cap;
	}
	tables->owned[tables->owned_count++] = allocated;
	return allocated;
}

/* A table, zeroed, whose `count` has been bounded; NULL for an empty one, and after an error. */
static void *make_table(struct tables *tables, uint32_t count, size_t row_bytes)
{
	void *table;

	if (!count || tables->reader.error)
		return NULL;
	table = calloc(count, row_bytes);
	if (!table)
		tables->reader.error = -ENOMEM;
	return keep(tables, table);
}

/* Longer than any may be that is a name only: that is found when it is copied. */
static const char *read_text(struct tables *tables)
{
	return keep(tables, unpack_text(&tables->reader, SCHEMA_TEXT_MAX));
}

/* Never called; it stands where a callback has to be. */
static void elsewhere(void)
{
}

static void read_callbacks(struct tables *tables, void *table, const size_t *offsets, uint32_t count)
{
	uint32_t mask = unpack_count(&tables->reader, (1u << count) - 1);
	callback_fn callback = elsewhere;

	for (uint32_t i = 0; i < count; i++)
		if (mask & (1u << i))
			memcpy((uint8_t *)table + offsets[i], &callback, sizeof(callback));
}

static const struct bp_param *read_params(struct tables *tables, unsigned int depth, uint32_t *ret_count);

static void read_param(struct tables *tables, unsigned int depth, struct bp_param *param)
{
	struct pack_reader *reader = &tables->reader;
	const char **choices;
	uint32_t count;

	param->name = read_text(tables);
	param->type = unpack_u32(reader);
	param->flags = unpack_u32(reader);
	param->def = read_text(tables);
	param->min = (int64_t)unpack_u64(reader);
	param->max = (int64_t)unpack_u64(reader);
	count = unpack_count(reader, SCHEMA_CHOICES_MAX);
	choices = count ? make_table(tables, count + 1, sizeof(*choices)) : NULL;
	for (uint32_t i = 0; choices && i < count; i++) {
		choices[i] = read_text(tables);
		/* It would be the end of the list. */
		if (!choices[i] && !reader->error)
			reader->error = -EBADMSG;
	}
	param->choices = choices;
	param->help = read_text(tables);
	param->readonly_param = read_text(tables);
	param->pairs_param = read_text(tables);
	param->group_stride = sizeof(*param);
	param->group = read_params(tables, depth + 1, &param->group_count);
}

/* Depth and total are those that a schema can have: there is no memory for more, and no recursion. */
static const struct bp_param *read_params(struct tables *tables, unsigned int depth, uint32_t *ret_count)
{
	uint32_t count = unpack_count(&tables->reader, SCHEMA_PARAMS_MAX);
	struct bp_param *params;

	if (!tables->reader.error && count &&
	    (depth > SCHEMA_DEPTH_MAX || count > SCHEMA_TOTAL_MAX - tables->param_total))
		tables->reader.error = -EBADMSG;
	params = make_table(tables, count, sizeof(*params));
	if (!params)
		return NULL;
	tables->param_total += count;
	for (uint32_t i = 0; i < count && !tables->reader.error; i++)
		read_param(tables, depth, &params[i]);
	*ret_count = count;
	return params;
}

static void read_ranges(struct tables *tables, struct bp_device_class *class)
{
	uint32_t count = unpack_count(&tables->reader, CLASS_RANGES_MAX);
	struct bp_range *ranges = make_table(tables, count, sizeof(*ranges));

	for (uint32_t i = 0; ranges && i < count; i++) {
		ranges[i].space = unpack_u32(&tables->reader);
		ranges[i].widths = unpack_u32(&tables->reader);
		ranges[i].length = unpack_u64(&tables->reader);
		ranges[i].base_param = read_text(tables);
	}
	class->range_stride = sizeof(*ranges);
	class->range_count = count;
	class->ranges = ranges;
}

static void read_irqs(struct tables *tables, struct bp_device_class *class)
{
	uint32_t count = unpack_count(&tables->reader, CLASS_IRQS_MAX);
	struct bp_irq *irqs = make_table(tables, count, sizeof(*irqs));

	for (uint32_t i = 0; irqs && i < count; i++)
		irqs[i].line_param = read_text(tables);
	class->irq_stride = sizeof(*irqs);
	class->irq_count = count;
	class->irqs = irqs;
}

static const struct bp_virtio_class *read_virtio(struct tables *tables)
{
	struct pack_reader *reader = &tables->reader;
	uint32_t id = unpack_u32(reader);
	struct bp_virtio_class *virtio = make_table(tables, id ? 1 : 0, sizeof(*virtio));

	if (!virtio)
		return NULL;
	virtio->size = sizeof(*virtio);
	virtio->id = id;
	virtio->queue_count = unpack_u32(reader);
	virtio->queue_size = unpack_u32(reader);
	virtio->config_bytes = unpack_u32(reader);
	virtio->scratch_bytes = unpack_u32(reader);
	virtio->features = unpack_u64(reader);
	read_callbacks(tables, virtio, virtio_callbacks, COUNT_OF(virtio_callbacks));
	return virtio;
}

static const struct bp_device_class *read_class(struct tables *tables)
{
	struct bp_device_class *class = make_table(tables, 1, sizeof(*class));

	if (!class)
		return NULL;
	class->size = sizeof(*class);
	class->kind = BP_CLASS_DEVICE;
	class->name = read_text(tables);
	class->summary = read_text(tables);
	class->hid = read_text(tables);
	class->compatible = read_text(tables);
	class->facts = unpack_u32(&tables->reader);
	class->state_version = unpack_u32(&tables->reader);
	read_callbacks(tables, class, device_callbacks, COUNT_OF(device_callbacks));
	tables->param_total = 0;
	class->param_stride = sizeof(*class->params);
	class->params = read_params(tables, 0, &class->param_count);
	read_ranges(tables, class);
	read_irqs(tables, class);
	class->virtio = read_virtio(tables);
	return class;
}

static void read_plugin(struct tables *tables, struct bp_plugin *entry)
{
	const void **classes;

	entry->size = sizeof(*entry);
	entry->abi_major = unpack_u32(&tables->reader);
	entry->abi_minor = unpack_u32(&tables->reader);
	entry->id = read_text(tables);
	entry->version = read_text(tables);
	entry->class_count = unpack_count(&tables->reader, PLUGIN_CLASSES_MAX);
	classes = make_table(tables, entry->class_count, sizeof(*classes));
	for (uint32_t i = 0; classes && i < entry->class_count && !tables->reader.error; i++)
		classes[i] = read_class(tables);
	entry->classes = classes;
}

static int make_plugin(const void *bytes, size_t count, const struct bp_note_desc *note, struct plugin **ret,
		       struct err *err)
{
	struct tables tables = { .owned = NULL };
	struct bp_plugin entry = { 0 };
	int r;

	if (count > DECL_BYTES_MAX)
		return err_set(err, -EINVAL, "its declaration is too long");
	unpack_begin(&tables.reader, bytes, count);
	read_plugin(&tables, &entry);
	r = unpack_end(&tables.reader);
	if (r == 0)
		r = plugin_copy(&entry, note, ret, err);
	else if (r == -ENOMEM)
		err_sys(err, r, "it cannot be loaded");
	else
		r = err_set(err, -EINVAL, "its declaration cannot be read");
	tables_free(&tables);
	return r;
}

int decl_unpack(const void *bytes, size_t count, const char *path, const struct bp_note_desc *note, struct plugin **ret,
		struct err *err)
{
	struct plugin *plugin = NULL;
	int r = make_plugin(bytes, count, note, &plugin, err);

	if (r < 0) {
		err_prefix(err, "plugin \"%s\" is malformed: ", path);
		return r;
	}
	assert(plugin);
	plugin->path = strdup(path);
	if (!plugin->path) {
		plugin_free(plugin);
		return err_sys(err, -ENOMEM, "plugin \"%s\"", path);
	}
	for (size_t i = 0; i < plugin->class_count; i++) {
		memset(&plugin->classes[i].callbacks, 0, sizeof(plugin->classes[i].callbacks));
		memset(&plugin->classes[i].virtio, 0, sizeof(plugin->classes[i].virtio));
	}
	*ret = plugin;
	return 0;
}
