/* SPDX-License-Identifier: BSD-3-Clause */
/* Metrics as text; see metrics.h. */
#include "core/placement/metrics.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <backplane/host.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* One metric of one device, on its way into the file. */
struct sample {
	FILE *out;
	const struct vm *vm;
	size_t device;
};

/* "virtio-blk" as a part of a name. */
static void class_part(const struct vm *vm, size_t device, char part[SCHEMA_NAME_MAX + 1])
{
	snprintf(part, SCHEMA_NAME_MAX + 1, "%s", vm->plan->devices[device].class->decl.name);
	for (char *c = part; *c; c++)
		if (*c == '-')
			*c = '_';
}

/* Names are made from those of classes, of which two plugins may have the same. */
static bool is_alike(const struct vm *vm, size_t one, size_t other)
{
	const struct plan_device *devices = vm->plan->devices;

	return !strcmp(devices[one].class->decl.name, devices[other].class->decl.name);
}

/* The format has help and type once for each name: before the first device of a class. */
static bool is_first_of_class(const struct sample *sample)
{
	for (size_t i = 0; i < sample->device; i++)
		if (is_alike(sample->vm, i, sample->device))
			return false;
	return true;
}

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_head(FILE *out, const char *name, const char *help, uint32_t kind)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind == BP_METRIC_COUNTER ? "counter" : "gauge");
}

static void put_sample(uint32_t kind, const char *name, const char *help, uint64_t value, void *arg)
{
	const struct sample *sample = arg;
	char part[SCHEMA_NAME_MAX + 1], full[2 * SCHEMA_NAME_MAX + 16];

	class_part(sample->vm, sample->device, part);
	snprintf(full, sizeof(full), "backplane_%s_%s", part, name);
	if (is_first_of_class(sample))
		put_head(sample->out, full, help, kind);
	fprintf(sample->out, "%s{device=\"", full);
	put_escaped(sample->out, sample->vm->devices[sample->device].placed.id);
	fprintf(sample->out, "\"} %" PRIu64 "\n", value);
}

static void put_machine(const struct vm *vm, FILE *out)
{
	uint64_t exits, unclaimed;

	machine_counts(vm->machine, &exits, &unclaimed);
	put_head(out, "backplane_exits", "exits of the guest to user space, in this life", BP_METRIC_GAUGE);
	fprintf(out, "backplane_exits %" PRIu64 "\n", exits);
	put_head(out, "backplane_unclaimed_accesses", "accesses that nobody answered, in this life", BP_METRIC_GAUGE);
	fprintf(out, "backplane_unclaimed_accesses %" PRIu64 "\n", unclaimed);
	put_head(out, "backplane_restarts", "restarts in place", BP_METRIC_COUNTER);
	fprintf(out, "backplane_restarts %" PRIu64 "\n", vm->restarts);
	put_head(out, "backplane_uptime_ms", "milliseconds since the program was started", BP_METRIC_GAUGE);
	fprintf(out, "backplane_uptime_ms %" PRIu64 "\n", (clock_now_ns() - clock_start_ns()) / NS_PER_MS);
}

static void put_up(const struct vm *vm, FILE *out)
{
	if (vm->device_count)
		put_head(out, "backplane_device_up", "whether the device works: 0 once it has failed", BP_METRIC_GAUGE);
	for (size_t i = 0; i < vm->device_count; i++) {
		fputs("backplane_device_up{device=\"", out);
		put_escaped(out, vm->devices[i].placed.id);
		fprintf(out, "\"} %d\n", !vm->devices[i].failed);
	}
}

/* Devices of a class stand together, since the lines of one name have to. A file is small: nobody minds the loops. */
static void put_devices(const struct vm *vm, FILE *out)
{
	for (size_t i = 0; i < vm->device_count; i++) {
		struct sample sample = { .out = out, .vm = vm, .device = i };

		if (!is_first_of_class(&sample))
			continue;
		for (size_t j = i; j < vm->device_count; j++) {
			sample.device = j;
			if (is_alike(vm, i, j)) {
				const struct placed *placed = &vm->devices[j].placed;

				placed->ops->metrics_each(placed->ctx, put_sample, &sample);
			}
		}
	}
}

int metrics_write(const struct vm *vm, const char *path, struct err *err)
{
	char beside[PATH_MAX];
	FILE *out;
	int r = 0;

	if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
		return err_sys(err, -ENAMETOOLONG, "cannot write metrics to \"%s\"", path);
	out = fopen(beside, "we");
	if (!out)
		return err_sys(err, -errno, "cannot write metrics to \"%s\"", beside);
	put_machine(vm, out);
	put_up(vm, out);
	put_devices(vm, out);
	if (ferror(out))
		r = -EIO;
	if (fclose(out) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(beside, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(beside);
		return err_sys(err, r, "cannot write metrics to \"%s\"", path);
	}
	return 0;
}
