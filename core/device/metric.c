/* SPDX-License-Identifier: BSD-3-Clause */
/* Metrics: numbers that a device keeps and anybody may read (bp_metric). They are made on [main] in create, so the list does not change
 * while others look at it; the numbers are atomic. */
#include "core/device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HELP_MAX 200

int host_metric(struct bp_dev *dev, uint32_t kind, const char *name, const char *help, uint64_t **ret_slot)
{
	struct device *device = device_of(dev);
	struct device_metric *metric;
	int r;

	if (!device_on_tag(device, true, false, "bp_metric"))
		return -EDEADLK;
	if (device->metric_count == DEVICE_METRICS_MAX)
		return err_set(&device->error, -ENOSPC, "a device has at most %d metrics", DEVICE_METRICS_MAX);
	metric = &device->metrics[device->metric_count];
	*metric = (struct device_metric){
		.name = class_copy_text(name, SCHEMA_NAME_MAX),
		.help = class_copy_text(help, HELP_MAX),
		.kind = kind,
	};
	if (device->state != DEVICE_NEW || (kind != BP_METRIC_COUNTER && kind != BP_METRIC_GAUGE) || !metric->name ||
	    !metric->help || !schema_name_ok(metric->name, "_", SCHEMA_NAME_MAX)) {
		r = err_set(&device->error, -EINVAL, "bp_metric was called with a malformed name, kind or help");
		goto fail;
	}
	for (size_t i = 0; i < device->metric_count; i++)
		if (!strcmp(device->metrics[i].name, name)) {
			r = err_set(&device->error, -EEXIST, "there are two metrics \"%s\"", name);
			goto fail;
		}
	device->metric_count++;
	*ret_slot = &metric->value;
	return 0;
fail:
	free(metric->name);
	free(metric->help);
	return r;
}

void device_metrics_free(struct device *device)
{
	for (size_t i = 0; i < device->metric_count; i++) {
		free(device->metrics[i].name);
		free(device->metrics[i].help);
	}
}

void device_metrics_each(struct device *device, device_metric_fn *fn, void *arg)
{
	for (size_t i = 0; i < device->metric_count; i++) {
		struct device_metric *metric = &device->metrics[i];

		fn(metric->kind, metric->name, metric->help, __atomic_load_n(&metric->value, __ATOMIC_RELAXED), arg);
	}
}
