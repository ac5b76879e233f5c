/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The states of our plugins in the real runtime: each class of the shared objects that have been built is loaded as `run` does it, gets
 * accesses of a guest, and its state goes into a second instance. That the states are right is what each plugin's own test says; this one
 * says that the runtime and the plugins mean the same. The folder with the plugins is BP_BUILD/plugins/.libs.
 */
#include "core/base/fd.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "core/placement/open.h"
#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <errno.h>

static const char *const plugins[] = { "boot-timer", "i8042", "pvpanic", "rtc", "serial" };

struct instance {
	struct gmem mem;
	struct device *device;
	struct config *config;
	struct opener opener;
	uint32_t events;
};

static int claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		 uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)device, (void)cookie, (void)range, (void)err;
	*ret_base = base;
	return 0;
}

static int release(void *ctx, uint32_t space, uint64_t base)
{
	(void)ctx, (void)space, (void)base;
	return 0;
}

static void quit(void *ctx)
{
	(void)ctx;
	fprintf(stderr, "no escape key here\n");
	abort();
}

static int event(void *ctx, struct device *device, uint32_t what, uint64_t value)
{
	struct instance *instance = ctx;

	(void)device, (void)value;
	instance->events++;
	return what >= BP_EVENT_PANIC && what <= BP_EVENT_MARK ? 0 : -EINVAL;
}

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

/* Made from a configuration that says as little as possible. */
static void make(struct instance *instance, const struct plugin_class *class)
{
	static const char *const common[] = { "plugin", "id", "class", NULL };
	struct device_spec spec = {
		.id = "device",
		.class = class,
		.mem = &instance->mem,
		.vcpus = 1,
		.place = { .claim = claim, .release = release, .quit = quit, .event = event, .ctx = instance },
	};
	bool has_stream = schema_find(class->decl.schema, "stream") >= 0;
	char path[] = "/tmp/bp-states-XXXXXX";
	struct err err = ERR_NONE;
	int fd = mkstemp(path);

	memset(instance, 0, sizeof(*instance));
	assert_true(fd >= 0);
	dprintf(fd,
		"machine = { memory = \"64M\"; };\nboot = { kernel = \"none\"; };\n"
		"devices = ( { plugin = \"any\"; id = \"device\"; %s } );\n",
		has_stream ? "stream = \"null\";" : "");
	close(fd);
	must(config_load(path, NULL, 0, &instance->config, &err), &err);
	must(config_check_group(instance->config->devices[0].node, class->decl.schema, "devices.device", common,
				&spec.values, &err),
	     &err);
	must(open_values(&instance->opener, spec.values, &err), &err);
	for (size_t i = 0; i < class->decl.irq_count; i++)
		spec.irq_fds[i] = fd_event();
	must(device_new(&spec, &instance->device, &err), &err);
	must(device_start(instance->device, &err), &err);
	unlink(path);
}

static void end(struct instance *instance)
{
	device_stop(instance->device);
	opener_end(&instance->opener);
	device_free(instance->device);
	config_free(instance->config);
}

/* A guest that knows nothing of the device. */
static void play(struct instance *instance, const struct plugin_class *class)
{
	uint32_t seed = 1;

	for (unsigned int i = 0; i < 2000; i++) {
		uint32_t range = seed >> 9 & 1, offset;
		uint64_t val = seed >> 16 & 0xff;

		seed = seed * 1664525u + 1013904223u;
		range %= (uint32_t) class->decl.range_count;
		offset = (seed >> 10 & 7) % (uint32_t) class->decl.ranges[range].length;
		assert_int_equal(device_access(instance->device, range, offset, 1, seed >> 20 & 1, &val), 0);
	}
}

static void expect_state(struct device *device, const uint8_t *bytes, size_t count)
{
	struct err err = ERR_NONE;
	uint8_t *again;
	size_t again_count;

	must(device_save(device, &again, &again_count, &err), &err);
	assert_int_equal(again_count, count);
	assert_memory_equal(again, bytes, count);
	free(again);
}

static void round_trip(const struct plugin_class *class)
{
	struct instance one, two;
	struct err err = ERR_NONE;
	uint8_t *bytes;
	size_t count;
	uint64_t val;

	make(&one, class);
	make(&two, class);
	play(&one, class);
	assert_int_equal(device_quiesce(one.device), 0);
	assert_int_equal(device_quiesce(two.device), 0);
	must(device_save(one.device, &bytes, &count, &err), &err);
	expect_state(one.device, bytes, count);
	must(device_load(two.device, bytes, count, &err), &err);
	expect_state(two.device, bytes, count);
	/* Cut short it is refused, and the device is there all the same. */
	for (size_t cut = 0; cut < count; cut++) {
		struct err why = ERR_NONE;

		assert_true(device_load(two.device, bytes, cut, &why) < 0);
	}
	must(device_load(two.device, bytes, count, &err), &err);
	must(device_resume(one.device, &err), &err);
	must(device_resume(two.device, &err), &err);
	assert_int_equal(device_access(two.device, 0, 0, 1, false, &val), 0);
	free(bytes);
	end(&one);
	end(&two);
}

static void states_go_round(void **state)
{
	char path[4096];
	size_t classes = 0;

	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
		struct err err = ERR_NONE;
		struct plugin *plugin;

		snprintf(path, sizeof(path), "%s/plugins/.libs/%s.so", getenv("BP_BUILD") ? getenv("BP_BUILD") : ".",
			 plugins[i]);
		must(plugin_load(path, &plugin, &err), &err);
		for (size_t j = 0; j < plugin->class_count; j++, classes++)
			round_trip(&plugin->classes[j]);
		plugin_free(plugin);
	}
	log_release();
	assert_int_equal(classes, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_go_round),
	};

	return cmocka_run_group_tests_name("plugin_states", tests, NULL, NULL);
}
