/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies what a plugin's class declares, checking all of it; see plugin.h. */
#include "core/device/plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_MAX       200
#define COMPATIBLE_MAX    127
#define FACTS_ALL         (BP_FACT_I8042 | BP_FACT_VGA | BP_FACT_RTC)
#define WIDTHS_ALL        (BP_W8 | BP_W16 | BP_W32 | BP_W64)

/* The head of the table up to the first field that a class of ABI 0.1 cannot lack. */
#define CLASS_BYTES_MIN   (offsetof(struct bp_device_class, destroy) + sizeof(void (*)(void *)))
#define VIRTIO_BYTES_MIN  (offsetof(struct bp_virtio_class, request) + sizeof(void (*)(void *, struct bp_chain *)))
#define STRIDE_MAX        4096u

#define VIRTIO_ID_MAX     63u
#define VIRTIO_QUEUE_SIZE 256u /* unless the class says otherwise */
#define VIRTIO_SCRATCH    4096u
/* Bits of the device type: the others are the host's (VIRTIO 1.2, 2.2). */
#define VIRTIO_FEATURES   (UINT64_C(0xffffff) | UINT64_C(0x3fff) << 50)

char *class_copy_text(const char *text, size_t max)
{
	size_t length;

	if (!text)
		return NULL;
	length = strnlen(text, max + 1);
	if (length > max)
		return NULL;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return NULL;
	return strndup(text, length);
}

/* Copies row `index` of a table, as much of it as both sides know, into a zeroed struct. */
static void copy_row(void *row, size_t row_bytes, const void *table, uint32_t stride, uint32_t index)
{
	memset(row, 0, row_bytes);
	memcpy(row, (const uint8_t *)table + (size_t)stride * index, stride < row_bytes ? stride : row_bytes);
}

/* Copies the name of a parameter that has to exist with that type. NULL stays NULL. */
static int copy_param_name(const struct class_decl *decl, const char *name, uint32_t type, char **ret, struct err *err)
{
	char *copy;
	int index;

	*ret = NULL;
	if (!name)
		return 0;
	copy = class_copy_text(name, SCHEMA_NAME_MAX);
	if (!copy)
		return err_set(err, -EINVAL, "class \"%s\": a range or interrupt names an unusable parameter",
			       decl->name);
	index = schema_find(decl->schema, copy);
	if (index < 0 || decl->schema->params[index].type != type ||
	    (decl->schema->params[index].flags & BP_P_REPEATED)) {
		err_set(err, -EINVAL, "class \"%s\": \"%s\" is not a parameter of type %s", decl->name, copy,
			schema_type_name(type));
		free(copy);
		return -EINVAL;
	}
	*ret = copy;
	return 0;
}

static int copy_ranges(const struct bp_device_class *table, struct class_decl *decl, struct err *err)
{
	if (table->range_count > CLASS_RANGES_MAX ||
	    (table->range_count &&
	     (!table->ranges || table->range_stride < sizeof(uint32_t) * 4 || table->range_stride > STRIDE_MAX)))
		return err_set(err, -EINVAL, "class \"%s\": bad table of ranges", decl->name);
	for (uint32_t i = 0; i < table->range_count; i++) {
		struct class_range *range = &decl->ranges[i];
		struct bp_range row;
		int r;

		copy_row(&row, sizeof(row), table->ranges, table->range_stride, i);
		if ((row.space != BP_MMIO && row.space != BP_PIO) || row.flags || !row.length ||
		    !(row.widths & WIDTHS_ALL) || (row.widths & ~(uint32_t)(WIDTHS_ALL | BP_UNALIGNED)))
			return err_set(err, -EINVAL, "class \"%s\": range %" PRIu32 " is malformed", decl->name, i);
		if (row.space == BP_PIO && !row.base_param)
			return err_set(err, -EINVAL,
				       "class \"%s\": range %" PRIu32 " is of ports and has no parameter for its base",
				       decl->name, i);
		r = copy_param_name(decl, row.base_param, BP_P_ADDRESS, &range->base_param, err);
		if (r < 0)
			return r;
		range->space = row.space;
		range->widths = row.widths;
		range->length = row.length;
		decl->range_count++;
	}
	return 0;
}

static int copy_irqs(const struct bp_device_class *table, struct class_decl *decl, struct err *err)
{
	if (table->irq_count > CLASS_IRQS_MAX ||
	    (table->irq_count &&
	     (!table->irqs || table->irq_stride < sizeof(struct bp_irq) || table->irq_stride > STRIDE_MAX)))
		return err_set(err, -EINVAL, "class \"%s\": bad table of interrupts", decl->name);
	for (uint32_t i = 0; i < table->irq_count; i++) {
		struct bp_irq row;
		int r;

		copy_row(&row, sizeof(row), table->irqs, table->irq_stride, i);
		if (row.flags)
			return err_set(err, -EINVAL, "class \"%s\": interrupt %" PRIu32 " is malformed", decl->name, i);
		r = copy_param_name(decl, row.line_param, BP_P_UINT, &decl->irqs[i].line_param, err);
		if (r < 0)
			return r;
		decl->irq_count++;
	}
	return 0;
}

static int copy_names(const struct bp_device_class *table, struct class_decl *decl, struct err *err)
{
	decl->name = class_copy_text(table->name, SCHEMA_NAME_MAX);
	if (!decl->name || !schema_name_ok(decl->name, "-", SCHEMA_NAME_MAX))
		return err_set(err, -EINVAL, "a class has no usable name");
	decl->summary = class_copy_text(table->summary ? table->summary : "", SUMMARY_MAX);
	decl->hid = class_copy_text(table->hid, 8);
	decl->compatible = class_copy_text(table->compatible, COMPATIBLE_MAX);
	if (!decl->summary || (table->hid && !decl->hid) || (table->compatible && !decl->compatible))
		return err_set(err, -EINVAL, "class \"%s\": summary, hid or compatible is too long or not printable",
			       decl->name);
	if (table->facts & ~FACTS_ALL)
		return err_set(err, -EINVAL, "class \"%s\": unknown firmware facts 0x%" PRIx32, decl->name,
			       table->facts);
	decl->facts = table->facts;
	return 0;
}

static int check_callbacks(const struct bp_device_class *table, const struct class_decl *decl, struct err *err)
{
	const char *missing = NULL;

	if (!table->create)
		missing = "create";
	else if (!table->destroy)
		missing = "destroy";
	else if (!table->reset)
		missing = "reset";
	else if (!table->access && decl->range_count)
		missing = "access";
	else if (table->save && !table->load)
		missing = "load";
	else if (table->load && !table->save)
		missing = "save";
	if (missing)
		return err_set(err, -EINVAL, "class \"%s\" has no callback \"%s\"", decl->name, missing);
	if ((table->save != NULL) != (table->state_version != 0))
		return err_set(err, -EINVAL, "class \"%s\": a state version from 1 on and a save belong together",
			       decl->name);
	return 0;
}

static void note_callbacks(const struct bp_device_class *table, struct class_decl *decl)
{
	decl->has_access = table->access != NULL;
	decl->has_state = table->save != NULL;
	decl->state_version = table->state_version;
}

static int virtio_fail(const struct class_decl *decl, const char *what, struct err *err)
{
	return err_set(err, -EINVAL, "class \"%s\": its virtio class has %s", decl->name, what);
}

static int copy_virtio(const void *table, struct plugin_class *class, struct err *err)
{
	struct class_decl *decl = &class->decl;
	const struct bp_device_class *device = &class->callbacks;
	struct bp_virtio_class *virtio = &class->virtio;
	uint32_t bytes;

	if (!table)
		return 0;
	memcpy(&bytes, table, sizeof(bytes));
	if (bytes < VIRTIO_BYTES_MIN)
		return virtio_fail(decl, "a table that is too small", err);
	memcpy(virtio, table, bytes < sizeof(*virtio) ? bytes : sizeof(*virtio));
	if (!virtio->queue_size)
		virtio->queue_size = VIRTIO_QUEUE_SIZE;
	if (!virtio->id || virtio->id > VIRTIO_ID_MAX)
		return virtio_fail(decl, "an id that no device type can have", err);
	if (!virtio->queue_count || virtio->queue_count > BP_VIRTIO_QUEUES_MAX)
		return virtio_fail(decl, "no queues or too many", err);
	if (virtio->queue_size > BP_VIRTIO_SIZE_MAX || (virtio->queue_size & (virtio->queue_size - 1)))
		return virtio_fail(decl, "queues of a size that is too large or no power of two", err);
	if (virtio->config_bytes > BP_VIRTIO_CONFIG_MAX)
		return virtio_fail(decl, "too large a configuration space", err);
	if (virtio->scratch_bytes > VIRTIO_SCRATCH)
		return virtio_fail(decl, "too much scratch", err);
	if (virtio->features & ~VIRTIO_FEATURES)
		return virtio_fail(decl, "features that are not its device type's", err);
	if (!virtio->request)
		return virtio_fail(decl, "no callback \"request\"", err);
	if (decl->range_count || decl->irq_count || decl->hid || decl->compatible || device->access)
		return err_set(
		    err, -EINVAL,
		    "class \"%s\" is a virtio class and has ranges, irqs, hid, compatible or access, which are "
		    "the host's business then",
		    decl->name);
	decl->virtio = (struct class_virtio){
		.id = virtio->id,
		.queue_count = virtio->queue_count,
		.queue_size = virtio->queue_size,
		.config_bytes = virtio->config_bytes,
		.scratch_bytes = virtio->scratch_bytes,
		.features = virtio->features,
	};
	decl->has_config_changed = virtio->config_changed != NULL;
	return 0;
}

void class_free(struct plugin_class *class)
{
	struct class_decl *decl = &class->decl;

	free(decl->name);
	free(decl->summary);
	free(decl->hid);
	free(decl->compatible);
	schema_free(decl->schema);
	for (size_t i = 0; i < CLASS_RANGES_MAX; i++)
		free(decl->ranges[i].base_param);
	for (size_t i = 0; i < CLASS_IRQS_MAX; i++)
		free(decl->irqs[i].line_param);
	memset(class, 0, sizeof(*class));
}

int class_copy(const void *table, struct plugin_class *ret, struct err *err)
{
	struct plugin_class class = { 0 };
	uint32_t head[2];
	int r;

	memcpy(head, table, sizeof(head));
	if (head[1] != BP_CLASS_DEVICE)
		return err_set(err, -EINVAL, "it has a class of kind %" PRIu32 ", which this backplane does not know",
			       head[1]);
	if (head[0] < CLASS_BYTES_MIN)
		return err_set(err, -EINVAL, "it has a class table of %" PRIu32 " bytes, which is too small", head[0]);
	memcpy(&class.callbacks, table, head[0] < sizeof(class.callbacks) ? head[0] : sizeof(class.callbacks));
	r = copy_names(&class.callbacks, &class.decl, err);
	if (r < 0)
		goto fail;
	r = schema_copy(class.callbacks.params, class.callbacks.param_stride, class.callbacks.param_count,
			&class.decl.schema, err);
	if (r < 0) {
		err_prefix(err, "class \"%s\": ", class.decl.name);
		goto fail;
	}
	r = copy_ranges(&class.callbacks, &class.decl, err);
	if (r < 0)
		goto fail;
	r = copy_irqs(&class.callbacks, &class.decl, err);
	if (r < 0)
		goto fail;
	r = check_callbacks(&class.callbacks, &class.decl, err);
	if (r < 0)
		goto fail;
	note_callbacks(&class.callbacks, &class.decl);
	r = copy_virtio(class.callbacks.virtio, &class, err);
	if (r < 0)
		goto fail;
	/* From here on the copy is looked at. */
	class.callbacks.virtio = NULL;
	*ret = class;
	return 0;
fail:
	class_free(&class);
	return r;
}
