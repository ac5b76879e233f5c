/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Declarations as bytes: those of all plugins that have been built go round and lose nothing. The plugins are in
 * BP_BUILD/plugins/.libs and BP_BUILD/tests/plugins.
 */
#include "tests/unit/decl_fixture.h"

static const char *in_build(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", getenv("BP_BUILD") ? getenv("BP_BUILD") : ".", name);
	return path;
}

static struct plugin *load(const char *name)
{
	struct plugin *plugin = NULL;
	struct err err = ERR_NONE;

	if (plugin_load(in_build(name), &plugin, &err) < 0)
		fail_msg("%s", err.text);
	return plugin;
}

static void every_plugin_that_is_built_goes_round(void **state)
{
	DIR *dir = opendir(in_build("plugins/.libs"));
	const struct dirent *entry;
	size_t virtio = 0, states = 0, plugins = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		char name[512];
		struct plugin *plugin;

		if (length < 3 || strcmp(entry->d_name + length - 3, ".so") != 0)
			continue;
		snprintf(name, sizeof(name), "plugins/.libs/%s", entry->d_name);
		plugin = load(name);
		go_round(plugin);
		for (size_t i = 0; i < plugin->class_count; i++) {
			virtio += plugin->classes[i].decl.virtio.id != 0;
			states += plugin->classes[i].decl.has_state;
		}
		plugin_free(plugin);
		plugins++;
	}
	closedir(dir);
	/* It has looked at some. */
	assert_true(plugins >= 8 && virtio >= 3 && states >= 8);
}

static void plugins_of_tests_go_round(void **state)
{
	/* Of bad_class: a right one, a table of a later version, a default that is found later. */
	static const char *const names[] = {
		"tests/plugins/.libs/led.so",       "tests/plugins/.libs/dma.so",
		"tests/plugins/.libs/events.so",    "tests/plugins/bad/bad_class_0.so",
		"tests/plugins/bad/bad_class_1.so", "tests/plugins/bad/bad_class_13.so",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct plugin *plugin = load(names[i]);

		go_round(plugin);
		plugin_free(plugin);
	}
}

static void everything_that_a_class_can_have_goes_round(void **state)
{
	struct plugin *plugin = make_full();

	(void)state;
	assert_true(plugin->classes[0].decl.has_access && plugin->classes[0].decl.has_state);
	assert_false(plugin->classes[0].decl.has_config_changed);
	assert_int_equal(plugin->classes[0].decl.state_version, 7);
	assert_true(plugin->classes[1].decl.has_config_changed);
	assert_false(plugin->classes[1].decl.has_access || plugin->classes[1].decl.has_state);
	go_round(plugin);
	plugin_free(plugin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_plugin_that_is_built_goes_round),
		cmocka_unit_test(plugins_of_tests_go_round),
		cmocka_unit_test(everything_that_a_class_can_have_goes_round),
	};

	return cmocka_run_group_tests_name("decl", tests, NULL, NULL);
}
