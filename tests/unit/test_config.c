/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration files and --set: each file below either loads, or ends in exactly one message at
 * exactly one line.
 */
#include "tests/unit/config_files.h"

static void files_that_are_no_files(void **state)
{
	static const char binary[] = "machine = {\n\x7f\x45LF\0\0";
	static const char nul[] = "machine = { memory = \"64M\" };\n\0boot";
	char *huge = malloc(1 << 21);

	(void)state;
	check_error("nothing.conf", NULL, "nothing.conf: cannot open: No such file or directory");
	check_error("/tmp", NULL, "/tmp: cannot open: Is a directory");
	write_bytes("vm.conf", binary, sizeof(binary));
	check_error("vm.conf", NULL, "vm.conf:2: control character: this is not a text file");
	write_bytes("vm.conf", nul, sizeof(nul));
	check_error("vm.conf", NULL, "vm.conf:2: control character: this is not a text file");
	memset(huge, ' ', 1 << 21);
	write_bytes("vm.conf", huge, (1 << 20) + 1);
	check_error("vm.conf", NULL, "vm.conf: more than 1 MiB of configuration");
	write_bytes("vm.conf", huge, 1 << 20);
	check_error("vm.conf", NULL, "vm.conf:1: machine: missing required key \"memory\"");
	free(huge);
	check_error("/dev/null", NULL, "/dev/null:1: machine: missing required key \"memory\"");
}

static void syntax(void **state)
{
	static const struct bad_case cases[] = {
		{ HEAD "devices = (\n", "vm.conf:3: syntax error" },
		{ HEAD "devices = \n\n}", "vm.conf:5: syntax error" },
		{ HEAD "=", "vm.conf:3: syntax error" },
		{ HEAD "\xff", "vm.conf:3: syntax error" },
		{ HEAD "a = 1 $", "vm.conf:3: syntax error" },
		{ HEAD "a = -0x10;", "vm.conf:3: syntax error" },
		{ HEAD "a = - 1;", "vm.conf:3: syntax error" },
		{ HEAD "a = / 1;", "vm.conf:3: syntax error" },
		{ HEAD "a = (1e5, -.5e-3, 1., +.5e2, \"\\q\\x4g\");", "vm.conf:3: unknown key \"a\"" },
		{ HEAD "\"machine\" = 1;", "vm.conf:3: syntax error" },
		{ HEAD "a = 1 \"b\";", "vm.conf:3: syntax error" },
		{ HEAD "a = { b = 1, \"c\" };", "vm.conf:3: syntax error" },
		{ HEAD "a = { \"c\" };", "vm.conf:3: syntax error" },
		{ HEAD "a = 1, \"b\"", "vm.conf:3: syntax error" },
		{ HEAD "a = [ (\"b\") ];", "vm.conf:3: syntax error" },
		{ HEAD "a = \"b\n\n", "vm.conf:3: string is not closed" },
		{ HEAD "a = \"b\\\"", "vm.conf:3: string is not closed" },
		{ HEAD "\n/* a\n\n", "vm.conf:4: comment is not closed" },
		{ HEAD "\n# no newline", NULL },
		{ HEAD "// no newline", NULL },
		{ HEAD "/**/ /* \" */ # \" /*\n", NULL },
		{ HEAD "a = \"b\\x00c\";", "vm.conf:3: a string cannot have \\x00 in it" },
		{ HEAD "machine = { };", "vm.conf:3: duplicate setting name" },
		{ HEAD "a = { b = 1;\nb = 2; };", "vm.conf:4: duplicate setting name" },
		{ HEAD "a = [ 1,\n\"b\" ];", "vm.conf:4: mismatched element type in array" },
		{ HEAD "a = ((((((((((((((((1))))))))))))))));", "vm.conf:3: unknown key \"a\"" },
		{ HEAD "a = (((((((((((((((((1)))))))))))))))));", "vm.conf:3: nested more than 16 deep" },
		{ HEAD "a = {a={a={a={a={a={a={a={a={a={a={a={a={a={a={a={a=\n{",
		  "vm.conf:4: nested more than 16 deep" },
		{ HEAD "a = ))))))))))))))))))))))", "vm.conf:3: syntax error" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct loaded loaded;

		if (cases[i].error) {
			check_bad(&cases[i], 1);
			continue;
		}
		load_good(cases[i].text, NULL, &loaded);
		unload(&loaded);
	}
}

static void integers(void **state)
{
	static const struct bad_case cases[] = {
		{ DEVICE("base = 0xd0000000;"),
		  "vm.conf:5: hexadecimal integer 0xd0000000: write it as a string: \"0xd0000000\"" },
		{ DEVICE("ports = [ 1,\n0X1F ];"),
		  "vm.conf:6: hexadecimal integer 0X1F: write it as a string: \"0X1F\"" },
		{ DEVICE("base = 0x10L;"), "vm.conf:5: hexadecimal integer 0x10: write it as a string: \"0x10\"" },
		{ DEVICE("queues = 99999999999999999999;"),
		  "vm.conf:5: integer 99999999999999999999 does not fit in 64 bits" },
		{ DEVICE("queues = 9223372036854775808L;"),
		  "vm.conf:5: integer 9223372036854775808 does not fit in 64 bits" },
		{ DEVICE("queues = -9223372036854775809;"),
		  "vm.conf:5: integer -9223372036854775809 does not fit in 64 bits" },
		{ DEVICE("queues = 4294967298;"),
		  "vm.conf:5: devices.root.queues: 4294967298 is out of range: 1 to 8" },
		{ DEVICE("queues = 4294967298LL;"),
		  "vm.conf:5: devices.root.queues: 4294967298 is out of range: 1 to 8" },
		{ DEVICE("queues = 2147483648;"),
		  "vm.conf:5: devices.root.queues: 2147483648 is out of range: 1 to 8" },
		{ DEVICE("queues = -2147483649;"),
		  "vm.conf:5: devices.root.queues: -2147483649 is out of range: 1 to 8" },
		{ DEVICE("queues = 9;"), "vm.conf:5: devices.root.queues: 9 is out of range: 1 to 8" },
		{ DEVICE("queues = 0;"), "vm.conf:5: devices.root.queues: 0 is out of range: 1 to 8" },
		{ DEVICE("offset = -6;"), "vm.conf:5: devices.root.offset: -6 is out of range: -5 to 5" },
		{ DEVICE("low = 0;"), "vm.conf:5: devices.root.low: 0 is out of range: at most -1" },
		{ DEVICE("number = -1;"), "vm.conf:5: devices.root.number: -1 is out of range" },
		{ DEVICE("queues = 1.5;"),
		  "vm.conf:5: devices.root.queues: expected an integer, found the number 1.5" },
		{ DEVICE("queues = 1e9;"),
		  "vm.conf:5: devices.root.queues: expected an integer, found the number 1e+09" },
		{ DEVICE("queues = .;"), "vm.conf:5: devices.root.queues: expected an integer, found the number 0" },
		{ DEVICE("queues = \"2\";"),
		  "vm.conf:5: devices.root.queues: expected an integer, found the string \"2\"" },
		{ "machine = { vcpus = 33; memory = \"64M\" };",
		  "vm.conf:1: machine.vcpus: 33 is out of range: 1 to 32" },
	};
	static const struct {
		const char *text;
		uint64_t number;
	} good[] = {
		{ DEVICE("number = 2147483647;"), 2147483647 },
		{ DEVICE("number = 2147483648;"), 2147483648 },
		{ DEVICE("number = 4294967298;"), 4294967298 },
		{ DEVICE("number = 4294967298L;"), 4294967298 },
		{ DEVICE("number = +5LL;"), 5 },
		{ DEVICE("number = 010;"), 10 },
		{ DEVICE("number = 9223372036854775807;"), INT64_MAX },
		{ DEVICE("number = 000000000000000000000000000000000000007;"), 7 },
		{ DEVICE("number = 7 # 0x10 99999999999999999999\n; serial = \"0x10\";"), 7 },
	};

	(void)state;
	check_bad(cases, COUNT(cases));
	for (size_t i = 0; i < COUNT(good); i++) {
		struct loaded loaded;

		load_good(good[i].text, NULL, &loaded);
		assert_int_equal(values_number(loaded.device, "number", 1), good[i].number);
		unload(&loaded);
	}
}

static void includes(void **state)
{
	static const struct bad_case cases[] = {
		{ HEAD "@include \"sub/none.conf\"\n",
		  "vm.conf:3: cannot open \"sub/none.conf\": No such file or directory" },
		{ HEAD "@include \"sub\"\n", "vm.conf:3: cannot open \"sub\": Is a directory" },
		{ HEAD "@include \"/dev/zero\"\n", "vm.conf:3: cannot open \"/dev/zero\": not a regular file" },
		{ HEAD "@include \"\"\n", "vm.conf:3: name of the include is empty" },
		{ HEAD "@include \"x\n\"", "vm.conf:3: name of the include is not closed" },
		{ HEAD "@include \"x\\\"\"", "vm.conf:3: backslash in the name of an include" },
		{ HEAD "a = 1; @include \"other.conf\"\n", "vm.conf:3: syntax error" },
		{ "@include \"vm.conf\"\n", "vm.conf:1: files include each other more than 8 deep" },
		{ "\n@include \"sub/a.conf\"\nboot = { };\n", "vm.conf:3: boot: missing required key \"kernel\"" },
		/* The rest of the line, and of the file, has its own place again. */
		{ "machine = {\n@include \"sub/b.conf\" memory = 5;\n };\n",
		  "vm.conf:2: machine.memory: expected a size such as \"512M\", found the integer 5" },
		{ "machine = {\n@include \"other.conf\"\n memory = \"64M\"; };\n",
		  "other.conf:2: machine: unknown key \"vcpu\" (did you mean \"vcpus\"?)" },
	};
	struct loaded loaded;

	(void)state;
	mkdir("sub", 0700);
	write_file("sub/a.conf", "machine = {\n  @include \"b.conf\"\n  memory = \"64M\";\n};");
	write_file("sub/b.conf", "vcpus = 4;");
	write_file("other.conf", "\nvcpu = 3;\n");
	check_bad(cases, COUNT(cases));
	load_good("@include \"sub/a.conf\"\nboot = { kernel = \"k\"; };\n", NULL, &loaded);
	assert_int_equal(values_number(loaded.config->machine, "vcpus", 0), 4);
	assert_string_equal(values_get(loaded.config->machine, "vcpus", 0)->place.file, "sub/b.conf");
	assert_int_equal(values_get(loaded.config->machine, "vcpus", 0)->place.line, 1);
	assert_string_equal(values_get(loaded.config->machine, "memory", 0)->place.file, "sub/a.conf");
	assert_int_equal(values_get(loaded.config->machine, "memory", 0)->place.line, 3);
	assert_int_equal(values_get(loaded.config->boot, "kernel", 0)->place.line, 2);
	unload(&loaded);
	write_file("sub/a.conf", "( { plugin = \"x\" } )");
	write_file("vm.conf", HEAD "devices =\n@include \"sub/a.conf\"\n;");
	check_error("vm.conf", NULL, "sub/a.conf:1: devices.x: missing required key \"path\"");
	write_file("sub/a.conf", "{ plugin = \"x\" },");
	write_file("vm.conf", HEAD "devices = (\n@include \"sub/a.conf\"\n{ plugin = \"x\" } );");
	check_error("vm.conf", NULL, "vm.conf:5: devices.x: duplicate id \"x\", also at sub/a.conf:1");
	write_file("sub/a.conf", "a = \"open\n");
	check_error("vm.conf", NULL, "sub/a.conf:1: string is not closed");
	write_file("sub/b.conf", "");
	write_file("vm.conf", HEAD "devices = (\n");
	for (int i = 0; i < 64; i++) {
		FILE *file = fopen("vm.conf", "ae");

		fputs("@include \"sub/b.conf\"\n", file);
		fclose(file);
	}
	check_error("vm.conf", NULL, "vm.conf:67: more than 64 files are included");
}

static void sets(void **state)
{
	static const struct {
		const char *text, *error, *set;
	} cases[] = {
		{ HEAD, "--set machine.vcpus: expected PATH=VALUE", "machine.vcpus" },
		{ HEAD, "--set : \"\" cannot be a key", "=1" },
		{ HEAD, "--set machine..vcpus: \"\" cannot be a key", "machine..vcpus=1" },
		{ HEAD, "--set Machine: \"Machine\" cannot be a key", "Machine=1" },
		{ HEAD, "--set machine: expected machine.KEY=VALUE", "machine=1" },
		{ HEAD, "--set devices.root: expected devices.ID.KEY=VALUE", "devices.root=1" },
		{ HEAD, "--set machin.vcpus: unknown section \"machin\" (did you mean \"machine\"?)",
		  "machin.vcpus=1" },
		{ HEAD, "--set machine.vcpu: unknown key \"vcpu\" (did you mean \"vcpus\"?)", "machine.vcpu=1" },
		{ HEAD, "--set machine.vcpus: expected an integer, found \"two\"", "machine.vcpus=two" },
		{ HEAD, "--set machine.vcpus: 33 is out of range: 1 to 32", "machine.vcpus=33" },
		{ HEAD, "--set machine.vcpus: 99999999999999999999 is out of range: 1 to 32",
		  "machine.vcpus=99999999999999999999" },
		{ HEAD, "--set machine.memory: 8M is out of range: 16M to 1T", "machine.memory=8M" },
		{ HEAD, "--set machine.a: unknown key \"a\"", "machine.a.b=1" },
		{ DEVICE(""), "--set devices.rot.path: no device has the id \"rot\" (did you mean \"root\"?)",
		  "devices.rot.path=x" },
		{ DEVICE(""), "--set devices.console.path: no device has the id \"console\"",
		  "devices.console.path=x" },
		{ DEVICE(""), "--set devices.root.pth: unknown key \"pth\" (did you mean \"path\"?)",
		  "devices.root.pth=x" },
		{ DEVICE(""), "--set devices.root.id: an id cannot be changed", "devices.root.id=x" },
		{ DEVICE(""), "--set devices.root.readonly: expected true or false, found \"yes\"",
		  "devices.root.readonly=yes" },
		{ DEVICE(""), "--set devices.root.path.x: \"path\" is not a group", "devices.root.path.x=1" },
		{ DEVICE("limit = { size = \"5\"; };"),
		  "--set devices.root.limit: this is a group: set one of its keys", "devices.root.limit=1" },
		{ DEVICE("zones = ( );"),
		  "--set devices.root.zones.size: \"zones\" is a list, which --set cannot reach into",
		  "devices.root.zones.size=1" },
		{ DEVICE(""), "--set devices.root.zones: expected a group, found \"1\"", "devices.root.zones=1" },
		{ DEVICE(""), "--set devices.root.limit: missing required key \"size\"",
		  "devices.root.limit.refill=1s" },
		{ DEVICE(""), "--set devices.root.limt: unknown key \"limt\" (did you mean \"limit\"?)",
		  "devices.root.limt.size=1" },
		{ DEVICE(""), "--set devices.root.limit.size: expected a size such as \"512M\", found \"x\"",
		  "devices.root.limit.size=x" },
		{ DEVICE(""), "--set devices.root.tags: a list can be set to one value only, without a comma",
		  "devices.root.tags=a,b" },
		{ DEVICE(""), "--set devices.root.a.b.c.d.e.f.g: too many words in the path",
		  "devices.root.a.b.c.d.e.f.g=1" },
		{ "", "--set machine: missing required key \"memory\"", "machine.vcpus=1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *const set[] = { cases[i].set, NULL };

		write_file("vm.conf", cases[i].text);
		check_error("vm.conf", set, cases[i].error);
	}
}

static void sets_change_the_tree(void **state)
{
	static const char *const first[] = { "machine.vcpus=7", "boot.cmdline=a=b c", "boot.kernel=", NULL };
	static const char *const device[] = { "devices.root.limit.size=5M", "devices.root.tags=x",
					      "devices.root.readonly=true", "devices.root.offset=-3" };
	static const char *const plugin[] = { "devices.virtio-blk.plugin=./my.so", "devices.virtio-blk.path=y", NULL };
	static const char *const sections[] = { "machine.memory=1G", "boot.kernel=k", NULL };
	static char cmdline[5000] = "boot.cmdline=";
	const char *const too_long[] = { cmdline, NULL };
	struct loaded loaded;

	(void)state;
	memset(cmdline + strlen(cmdline), 'x', 4096);
	write_file("vm.conf", HEAD);
	check_error("vm.conf", too_long, "--set boot.cmdline: text is longer than 4095 bytes");
	check_error("vm.conf", first, "--set boot.kernel: expected a path, found \"\"");
	load_good("", sections, &loaded);
	assert_int_equal(values_number(loaded.config->machine, "memory", 0), 1 << 30);
	assert_null(values_get(loaded.config->machine, "memory", 0)->place.file);
	unload(&loaded);
	load_good(DEVICE("tags = ( \"a\", \"b\" ); readonly = 5;"), device, &loaded);
	assert_int_equal(loaded.device->lists[schema_find(loaded.schema, "tags")].count, 1);
	assert_string_equal(values_text(loaded.device, "tags", ""), "x");
	assert_int_equal(values_number(loaded.device, "readonly", 0), 1);
	assert_int_equal((int64_t)values_number(loaded.device, "offset", 0), -3);
	assert_int_equal(values_number(values_get(loaded.device, "limit", 0)->group, "size", 0), 5 << 20);
	assert_string_equal(values_get(loaded.device, "limit", 0)->group->path, "devices.root.limit");
	unload(&loaded);
	load_good(HEAD "devices = ( { plugin = \"virtio-blk\"; } );", plugin, &loaded);
	assert_string_equal(loaded.config->devices[0].plugin, "./my.so");
	assert_string_equal(loaded.config->devices[0].id, "virtio-blk");
	unload(&loaded);
}

static void paths(void **state)
{
	static const struct {
		const char *file, *path, *resolved;
	} cases[] = {
		{ "vm.conf", "disk.img", "disk.img" },
		{ "sub/vm.conf", "disk.img", "sub/disk.img" },
		{ "/etc/vm/vm.conf", "../disk.img", "/etc/vm/../disk.img" },
		{ "/vm.conf", "disk.img", "/disk.img" },
		{ "/etc/vm.conf", "/disk.img", "/disk.img" },
		{ NULL, "disk.img", "disk.img" },
		{ NULL, "/disk.img", "/disk.img" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct place place = { .file = cases[i].file, .line = 1 };
		char *resolved;

		assert_int_equal(config_resolve_path(&place, cases[i].path, &resolved), 0);
		assert_string_equal(resolved, cases[i].resolved);
		free(resolved);
	}
}

/* What could make libconfig slow or large. */
static void bounds(void **state)
{
	char *text = NULL;
	size_t bytes;
	FILE *stream;

	(void)state;
	stream = open_memstream(&text, &bytes);
	for (int i = 0; i <= 10000; i++)
		fprintf(stream, "a%d = 1;\n", i);
	fclose(stream);
	write_bytes("vm.conf", text, bytes);
	check_error("vm.conf", NULL, "vm.conf:10001: more than 10000 settings");
	free(text);
	stream = open_memstream(&text, &bytes);
	fprintf(stream, "a =\n\"%04000d\"\n\"%096d\"", 0, 0);
	fclose(stream);
	write_bytes("vm.conf", text, bytes);
	check_error("vm.conf", NULL, "vm.conf:3: string is longer than 4095 bytes");
	free(text);
	stream = open_memstream(&text, &bytes);
	fprintf(stream, "boot = { cmdline = \"%04094d\\x41\"; kernel = \"k\" }; machine = { memory = \"1G\" };", 0);
	fclose(stream);
	{
		struct loaded loaded;

		load_good(text, NULL, &loaded);
		assert_int_equal(strlen(values_text(loaded.config->boot, "cmdline", "")), 4095);
		unload(&loaded);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_that_are_no_files),
		cmocka_unit_test(syntax),
		cmocka_unit_test(integers),
		cmocka_unit_test(includes),
		cmocka_unit_test(sets),
		cmocka_unit_test(sets_change_the_tree),
		cmocka_unit_test(paths),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
