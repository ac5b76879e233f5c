/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys and values of a configuration against a schema: what fits comes out typed and complete, and what
 * does not is told by place, path and expectation.
 */
#include "tests/unit/config_files.h"

static void types(void **state)
{
	static const struct bad_case cases[] = {
		{ DEVICE("readonly = 1;"),
		  "vm.conf:5: devices.root.readonly: expected true or false, found the integer 1" },
		{ DEVICE("readonly = \"true\";"),
		  "vm.conf:5: devices.root.readonly: expected true or false, found the string \"true\"" },
		{ DEVICE("queues = true;"), "vm.conf:5: devices.root.queues: expected an integer, found true" },
		{ DEVICE("cache = 4096;"),
		  "vm.conf:5: devices.root.cache: expected a size such as \"512M\", found the integer 4096" },
		{ DEVICE("cache = \"12Q\";"),
		  "vm.conf:5: devices.root.cache: expected a size such as \"512M\", found \"12Q\"" },
		{ DEVICE("cache = \"2M\";"), "vm.conf:5: devices.root.cache: 2M is out of range: 4K to 1M" },
		{ DEVICE("cache = \"2048K\";"), "vm.conf:5: devices.root.cache: 2M is out of range: 4K to 1M" },
		{ DEVICE("cache = \"99999999T\";"),
		  "vm.conf:5: devices.root.cache: 99999999T is out of range: 4K to 1M" },
		{ DEVICE("timeout = \"10\";"),
		  "vm.conf:5: devices.root.timeout: expected a duration such as \"10ms\", found \"10\"" },
		{ DEVICE("timeout = \"2min\";"), "vm.conf:5: devices.root.timeout: 2min is out of range: 1ns to 1min" },
		{ DEVICE("serial = 5;"), "vm.conf:5: devices.root.serial: expected a string, found the integer 5" },
		{ DEVICE("serial = { };"), "vm.conf:5: devices.root.serial: expected a string, found a group" },
		{ DEVICE("serial = (\"a\");"), "vm.conf:5: devices.root.serial: expected a string, found a list" },
		{ DEVICE("serial = \"a\\xff\";"), "vm.conf:5: devices.root.serial: text is not UTF-8" },
		{ DEVICE("engine = \"io_urin\";"),
		  "vm.conf:5: devices.root.engine: expected one of \"sync\", \"io_uring\", found \"io_urin\" (did you mean \"io_uring\"?)" },
		{ DEVICE("engine = \"\";"),
		  "vm.conf:5: devices.root.engine: expected one of \"sync\", \"io_uring\", found \"\"" },
		{ DEVICE("engine = \"a\\nb\";"),
		  "vm.conf:5: devices.root.engine: expected one of \"sync\", \"io_uring\", found \"a?b\"" },
		{ DEVICE("mac = \"52:54\";"),
		  "vm.conf:5: devices.root.mac: expected a MAC address such as \"52:54:00:12:34:56\", found \"52:54\"" },
		{ DEVICE("base = \"d0\";"),
		  "vm.conf:5: devices.root.base: expected an address such as \"0xd0000000\", found \"d0\"" },
		{ DEVICE("base = 16;"),
		  "vm.conf:5: devices.root.base: expected an address such as \"0xd0000000\", found the integer 16" },
		{ DEVICE("base = \"0x10000000000000000\";"),
		  "vm.conf:5: devices.root.base: 0x10000000000000000 is out of range" },
		{ DEVICE("log = \"stdout\";"),
		  "vm.conf:5: devices.root.log: expected \"terminal\", \"null\", \"file:PATH\", \"pty\", \"pty:LINK\" or \"unix:PATH\", found \"stdout\"" },
		{ DEVICE("log = \"file:\";"),
		  "vm.conf:5: devices.root.log: expected \"terminal\", \"null\", \"file:PATH\", \"pty\", \"pty:LINK\" or \"unix:PATH\", found \"file:\"" },
		{ DEVICE("limit = \"5M\";"),
		  "vm.conf:5: devices.root.limit: expected a group, found the string \"5M\"" },
		{ HEAD "devices = ({ plugin = \"a\"; path = \"\"; });",
		  "vm.conf:3: devices.a.path: expected a path, found \"\"" },
		{ DEVICE(
		      "serial = \"0123456789012345678901234567890123456789\"\n\"0123456789012345678901234567890123456789\"; queues = \"0123456789012345678901234567890123456789012345678901234567890\";"),
		  "vm.conf:6: devices.root.queues: expected an integer, found the string \"012345678901234567890123456789012345678901234567890123456789...\"" },
	};

	(void)state;
	check_bad(cases, COUNT(cases));
}

static void lists_and_groups(void **state)
{
	static const struct bad_case cases[] = {
		{ DEVICE("tags = \"a\";"), "vm.conf:5: devices.root.tags: expected a list, found the string \"a\"" },
		/* A string in a list has the line of the list. */
		{ DEVICE("ports = (1,\n2,\n\"x\"\n);"),
		  "vm.conf:5: devices.root.ports[2]: expected an integer, found the string \"x\"" },
		{ DEVICE("ports = (1,\n2,\n65536\n);"),
		  "vm.conf:7: devices.root.ports[2]: 65536 is out of range: 0 to 65535" },
		{ DEVICE("tags = (\"a\",\nfalse\n);"),
		  "vm.conf:6: devices.root.tags[1]: expected a string, found false" },
		{ DEVICE("tags = (\"a\",\n(\n) );"),
		  "vm.conf:6: devices.root.tags[1]: expected a string, found a list" },
		{ DEVICE("limit = {\n};"), "vm.conf:5: devices.root.limit: missing required key \"size\"" },
		{ DEVICE("limit = {\nsize = \"5\";\nrefil = \"1s\";\n};"),
		  "vm.conf:7: devices.root.limit: unknown key \"refil\" (did you mean \"refill\"?)" },
		{ DEVICE("limit = {\nsize = \"0\";\n};"),
		  "vm.conf:6: devices.root.limit.size: 0 is out of range: at least 1" },
		{ DEVICE("zones = (\n{ size = \"5\"; },\n{ size = 5; } );"),
		  "vm.conf:7: devices.root.zones[1].size: expected a size such as \"512M\", found the integer 5" },
		{ DEVICE("zones = (\n{ size = \"5\"; },\n{\n} );"),
		  "vm.conf:7: devices.root.zones[1]: missing required key \"size\"" },
		{ DEVICE("zones = (\n5 );"),
		  "vm.conf:6: devices.root.zones[0]: expected a group, found the integer 5" },
		{ DEVICE("zones = { size = \"5\"; };"),
		  "vm.conf:5: devices.root.zones: expected a list, found a group" },
	};

	(void)state;
	check_bad(cases, COUNT(cases));
}

static void keys(void **state)
{
	static const struct bad_case cases[] = {
		{ DEVICE("pth = \"x\";"), "vm.conf:5: devices.root: unknown key \"pth\" (did you mean \"path\"?)" },
		{ DEVICE("\nclas = \"x\";"),
		  "vm.conf:6: devices.root: unknown key \"clas\" (did you mean \"class\"?)" },
		{ DEVICE("colour = \"x\";"), "vm.conf:5: devices.root: unknown key \"colour\"" },
		{ HEAD "devices = (\n{ plugin = \"a\";\n} );", "vm.conf:4: devices.a: missing required key \"path\"" },
		{ "machine = {\nmemroy = \"1G\"; };",
		  "vm.conf:2: machine: unknown key \"memroy\" (did you mean \"memory\"?)" },
		{ "\nmachine = {\n};", "vm.conf:2: machine: missing required key \"memory\"" },
		{ "\nmachine = { memory = \"8M\";\n};", "vm.conf:2: machine.memory: 8M is out of range: 16M to 1T" },
		{ "machine = { memory = \"2T\" };", "vm.conf:1: machine.memory: 2T is out of range: 16M to 1T" },
		{ "machine = { memory = \"1T\" };\nboot = {\n};", "vm.conf:2: boot: missing required key \"kernel\"" },
		{ "machine = { memory = \"1T\" };", "vm.conf:1: boot: missing required key \"kernel\"" },
		{ "\nmachin = { };", "vm.conf:2: unknown key \"machin\" (did you mean \"machine\"?)" },
		{ "network = { };", "vm.conf:1: unknown key \"network\"" },
		{ "\nmachine = 5;", "vm.conf:2: machine: expected a group, found the integer 5" },
		{ "boot = ( );", "vm.conf:1: boot: expected a group, found a list" },
		{ "devices = { };", "vm.conf:1: devices: expected a list, found a group" },
	};

	(void)state;
	check_bad(cases, COUNT(cases));
}

static void device_identities(void **state)
{
	static const struct bad_case cases[] = {
		{ HEAD "devices = (\n5 );", "vm.conf:4: devices[0]: expected a group, found the integer 5" },
		{ HEAD "devices = (\n{ id = \"a\" } );", "vm.conf:4: devices[0]: missing required key \"plugin\"" },
		{ HEAD "devices = (\n{ plugin = 5 } );",
		  "vm.conf:4: devices[0].plugin: expected a string, found the integer 5" },
		{ HEAD "devices = (\n{ plugin = \"\" } );", "vm.conf:4: devices[0].plugin: this is empty" },
		{ HEAD "devices = ({ plugin = \"a\";\nid = true } );",
		  "vm.conf:4: devices[0].id: expected a string, found true" },
		{ HEAD "devices = ({ plugin = \"a\";\nid = \"Root\" } );",
		  "vm.conf:4: devices[0].id: \"Root\" is not [a-z][a-z0-9_-]* of at most 31 bytes" },
		{ HEAD "devices = ({ plugin = \"a\";\nid = \"a2345678901234567890123456789012\" } );",
		  "vm.conf:4: devices[0].id: \"a2345678901234567890123456789012\" is not [a-z][a-z0-9_-]* of at most 31 bytes" },
		{ HEAD "devices = ({ plugin = \"x/Led.so\" } );",
		  "vm.conf:3: devices[0]: the plugin's name \"Led\" cannot be the id: add one" },
		{ HEAD "devices = ({ plugin = \"x/\" } );",
		  "vm.conf:3: devices[0]: the plugin's name \"\" cannot be the id: add one" },
		{ HEAD "devices = ({ plugin = \"a\"; class = 1 } );",
		  "vm.conf:3: devices.a.class: expected a string, found the integer 1" },
		{ HEAD "devices = (\n{ plugin = \"a\" },\n{ plugin = \"b\" },\n{ plugin = \"./a.so\" } );",
		  "vm.conf:6: devices.a: duplicate id \"a\", also at line 4" },
		{ HEAD "devices = (\n{ plugin = \"a\"; id = \"x\" },\n{ plugin = \"b\"; id = \"x\" } );",
		  "vm.conf:5: devices.x: duplicate id \"x\", also at line 4" },
	};
	struct loaded loaded;

	(void)state;
	check_bad(cases, COUNT(cases));
	load_good(HEAD "devices = (\n"
		       "{ plugin = \"virtio-blk\"; path = \"x\"; },\n"
		       "{ plugin = \"./lib/led.so\"; path = \"x\"; class = \"led-v2\" },\n"
		       "{ plugin = \".so\"; id = \"c-3_p\"; path = \"x\"; }\n);",
		  NULL, &loaded);
	assert_int_equal(loaded.config->device_count, 3);
	assert_string_equal(loaded.config->devices[0].id, "virtio-blk");
	assert_string_equal(loaded.config->devices[0].plugin, "virtio-blk");
	assert_null(loaded.config->devices[0].class_name);
	assert_int_equal(loaded.config->devices[0].place.line, 4);
	assert_string_equal(loaded.config->devices[1].id, "led");
	assert_string_equal(loaded.config->devices[1].plugin, "./lib/led.so");
	assert_string_equal(loaded.config->devices[1].class_name, "led-v2");
	assert_string_equal(loaded.config->devices[2].id, "c-3_p");
	unload(&loaded);
}

/* Of the devices, in their order: placement, on_failure, deadline. */
static void check_common(const struct loaded *loaded, size_t index, enum config_placement placement,
			 uint32_t on_failure, uint64_t deadline_ns)
{
	const struct config_device *device = &loaded->config->devices[index];

	assert_int_equal(device->placement, placement);
	assert_int_equal(device->on_failure, on_failure);
	assert_int_equal(device->deadline_ns, deadline_ns);
}

static void what_every_device_can_say(void **state)
{
	static const struct bad_case cases[] = {
		{ DEVICE("placement = 1;"),
		  "vm.conf:5: devices.root.placement: expected a string, found the integer 1" },
		{ DEVICE("\nplacement = \"kernel\";"),
		  "vm.conf:6: devices.root.placement: expected one of \"process\", \"thread\", found \"kernel\"" },
		{ DEVICE("on_failure = \"restart\";"),
		  "vm.conf:5: devices.root.on_failure: expected one of \"needs_reset\", \"stop\", found \"restart\"" },
		{ DEVICE("deadline = 3;"),
		  "vm.conf:5: devices.root.deadline: expected a duration such as \"10ms\", found the integer 3" },
		{ DEVICE("deadline = \"9ms\";"),
		  "vm.conf:5: devices.root.deadline: 9ms is out of range: 10ms to 1min" },
		{ DEVICE("deadline = \"61s\";"),
		  "vm.conf:5: devices.root.deadline: 61s is out of range: 10ms to 1min" },
		{ DEVICE("placment = \"thread\";"),
		  "vm.conf:5: devices.root: unknown key \"placment\" (did you mean \"placement\"?)" },
		{ DEVICE("dead_line = \"1s\";"),
		  "vm.conf:5: devices.root: unknown key \"dead_line\" (did you mean \"deadline\"?)" },
		{ HEAD "defaults = {\nplacement = true; };",
		  "vm.conf:4: defaults.placement: expected a string, found true" },
		{ HEAD "defaults = {\nonfailure = \"stop\"; };",
		  "vm.conf:4: defaults: unknown key \"onfailure\" (did you mean \"on_failure\"?)" },
		{ HEAD "defaults = ( );", "vm.conf:3: defaults: expected a group, found a list" },
		{ HEAD "default = { };", "vm.conf:3: unknown key \"default\" (did you mean \"defaults\"?)" },
	};

	(void)state;
	check_bad(cases, COUNT(cases));
}

#define SECOND UINT64_C(1000000000)

static void a_device_says_more_than_the_file(void **state)
{
	static const char file[] =
	    HEAD "defaults = { placement = \"thread\"; on_failure = \"stop\"; deadline = \"60s\"; };\n"
		 "devices = (\n"
		 "{ plugin = \"a\"; path = \"x\"; },\n"
		 "{ plugin = \"b\"; path = \"x\"; placement = \"process\"; },\n"
		 "{ plugin = \"c\"; path = \"x\"; on_failure = \"needs_reset\"; deadline = \"10ms\"; }\n"
		 ");";
	const char *const sets[] = { "defaults.placement=process", "devices.b.placement=thread", "defaults.deadline=2s",
				     "devices.b.deadline=1s" };
	struct loaded loaded;

	(void)state;
	load_good(file, NULL, &loaded);
	check_common(&loaded, 0, CONFIG_THREAD, 1, 60 * SECOND);
	check_common(&loaded, 1, CONFIG_PROCESS, 1, 60 * SECOND);
	check_common(&loaded, 2, CONFIG_THREAD, 0, SECOND / 100);
	unload(&loaded);
	load_good(file, sets, &loaded);
	check_common(&loaded, 0, CONFIG_PROCESS, 1, 2 * SECOND);
	check_common(&loaded, 1, CONFIG_THREAD, 1, SECOND);
	check_common(&loaded, 2, CONFIG_PROCESS, 0, SECOND / 100);
	unload(&loaded);
	load_good(DEVICE(""), NULL, &loaded);
	check_common(&loaded, 0, CONFIG_PROCESS, 0, 3 * SECOND);
	unload(&loaded);
}

static void values_of_all_types(void **state)
{
	struct loaded loaded;
	const struct value_list *list;

	(void)state;
	load_good(DEVICE("readonly = TRUE; offset = -5; cache = \"8K\"; timeout = \"1min\";\n"
			 "serial = \"a\" /* joined */ \"b\\x41\"; engine = \"sync\"; mac = \"52:54:00:12:34:56\";\n"
			 "base = \"0xd0000000\"; log = \"file:out\"; tags = [ \"x\", \"y\" ];\n"
			 "ports = (1, 65535); limit : { size = \"1\" }, zones = ({ size = \"2\" }, { size = \"3\" })"),
		  NULL, &loaded);
	assert_string_equal(loaded.device->path, "devices.root");
	assert_string_equal(values_text(loaded.device, "path", ""), "disk.img");
	assert_int_equal(values_get(loaded.device, "path", 0)->fd, -1);
	assert_int_equal(values_get(loaded.device, "path", 0)->place.line, 4);
	assert_int_equal(values_number(loaded.device, "readonly", 0), 1);
	assert_int_equal((int64_t)values_number(loaded.device, "offset", 0), -5);
	assert_int_equal(values_number(loaded.device, "cache", 0), 8192);
	assert_int_equal(values_number(loaded.device, "timeout", 0), 60000000000);
	assert_string_equal(values_text(loaded.device, "serial", ""), "abA");
	assert_int_equal(values_get(loaded.device, "serial", 0)->place.line, 6);
	assert_string_equal(values_text(loaded.device, "engine", ""), "sync");
	assert_int_equal(values_number(loaded.device, "engine", 9), 0);
	assert_int_equal(values_number(loaded.device, "mac", 0), 0x563412005452);
	assert_int_equal(values_number(loaded.device, "base", 0), 0xd0000000);
	assert_string_equal(values_text(loaded.device, "log", ""), "file:out");
	assert_string_equal(values_get(loaded.device, "tags", 1)->text, "y");
	assert_int_equal(values_get(loaded.device, "ports", 1)->number, 65535);
	assert_int_equal(values_number(values_get(loaded.device, "zones", 1)->group, "size", 0), 3);
	assert_string_equal(values_get(loaded.device, "zones", 1)->group->path, "devices.root.zones[1]");
	/* Defaults, and what has none. */
	list = &loaded.device->lists[schema_find(loaded.schema, "queues")];
	assert_true(list->is_default);
	assert_int_equal(list->items[0].number, 1);
	assert_string_equal(list->items[0].place.file, "vm.conf");
	assert_false(loaded.device->lists[schema_find(loaded.schema, "readonly")].is_default);
	assert_null(values_get(loaded.device, "number", 0));
	assert_string_equal(values_text(loaded.config->boot, "cmdline", "none"), "");
	assert_null(values_get(loaded.config->boot, "initrd", 0));
	assert_int_equal(values_number(loaded.config->machine, "vcpus", 0), 1);
	assert_int_equal(values_number(loaded.config->machine, "memory", 0), 64 << 20);
	unload(&loaded);
}

/* vm.conf against a table of "path" and one more. */
static void check_table(const struct bp_param *param, const char *error)
{
	const struct bp_param table[] = { params[0], *param };
	struct err err = ERR_NONE;
	struct loaded loaded;

	assert_int_equal(load_table("vm.conf", NULL, table, COUNT(table), &loaded, &err), -EINVAL);
	assert_string_equal(err.text, error);
	unload(&loaded);
}

/* Tables that schema_copy() takes, and that the file does not fit, or no file can. */
static void tables(void **state)
{
	static const struct {
		struct bp_param param;
		const char *error;
	} cases[] = {
		{ { .name = "x", .type = BP_P_SIZE, .def = "12Q" },
		  "vm.conf:4: devices.root.x: bad default in the plugin's table: expected a size such as \"512M\", found \"12Q\"" },
		{ { .name = "x", .type = BP_P_UINT, .def = "9", .max = 8 },
		  "vm.conf:4: devices.root.x: bad default in the plugin's table: 9 is out of range: 0 to 8" },
		{ { .name = "x", .type = BP_P_BOOL, .def = "" },
		  "vm.conf:4: devices.root.x: bad default in the plugin's table: expected true or false, found \"\"" },
		{ { .name = "x", .type = BP_P_CHOICE, .def = "z", .choices = engines },
		  "vm.conf:4: devices.root.x: bad default in the plugin's table: expected one of \"sync\", \"io_uring\", found \"z\"" },
		{ { .name = "x", .type = BP_P_STRING, .def = "\xff" },
		  "vm.conf:4: devices.root.x: bad default in the plugin's table: text is not UTF-8" },
		{ { .name = "id", .type = BP_P_STRING },
		  "vm.conf:4: devices.root: the plugin's table has the reserved key \"id\"" },
		{ { .name = "placement", .type = BP_P_STRING },
		  "vm.conf:4: devices.root: the plugin's table has the reserved key \"placement\"" },
		{ { .name = "on_failure", .type = BP_P_STRING },
		  "vm.conf:4: devices.root: the plugin's table has the reserved key \"on_failure\"" },
		{ { .name = "deadline", .type = BP_P_DURATION },
		  "vm.conf:4: devices.root: the plugin's table has the reserved key \"deadline\"" },
	};
	static const struct bp_param needed = { .name = "x",
						.type = BP_P_UINT,
						.flags = BP_P_REQUIRED | BP_P_REPEATED };

	(void)state;
	write_file("vm.conf", DEVICE("x = ( );"));
	check_table(&needed, "vm.conf:5: devices.root.x: expected at least one value");
	write_file("vm.conf", DEVICE(""));
	check_table(&needed, "vm.conf:4: devices.root: missing required key \"x\"");
	for (size_t i = 0; i < COUNT(cases); i++)
		check_table(&cases[i].param, cases[i].error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types),
		cmocka_unit_test(lists_and_groups),
		cmocka_unit_test(keys),
		cmocka_unit_test(device_identities),
		cmocka_unit_test(what_every_device_can_say),
		cmocka_unit_test(a_device_says_more_than_the_file),
		cmocka_unit_test(values_of_all_types),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
