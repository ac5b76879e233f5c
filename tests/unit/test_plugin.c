/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading plugins: files that must be refused before any of their code runs, files that dlopen refuses, plugins whose tables
 * are wrong, and one that is right. The shared objects are those of tests/plugins, as built.
 */
#include "core/base/fd.h"
#include "core/device/plugin.h"

#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static char build[2048];
static char folder[] = "/tmp/bp-test-plugin-XXXXXX";

static const char *built(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/tests/plugins/%s", build, name);
	return path;
}

static const char *in_folder(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char buf[65536];
	ssize_t count;

	if (in < 0)
		fail_msg("%s is missing", from);
	assert_true(out >= 0);
	while ((count = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)count), count);
	assert_int_equal(fchmod(out, mode), 0);
	close(in);
	close(out);
}

static int group_setup(void **state)
{
	const char *env = getenv("BP_BUILD");

	(void)state;
	snprintf(build, sizeof(build), "%s", env ? env : ".");
	return mkdtemp(folder) ? 0 : -1;
}

static int group_teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void refuse(const char *path, int error, const char *part)
{
	struct plugin *plugin = NULL;
	struct err err = ERR_NONE;
	int r = plugin_load(path, &plugin, &err);

	if (r == 0)
		fail_msg("%s has been loaded", path);
	if (!strstr(err.text, part) || strchr(err.text, '\n'))
		fail_msg("%s: \"%s\", expected: \"%s\"", path, err.text, part);
	assert_int_equal(r, error);
	assert_null(plugin);
}

/* ---- a right one ---- */

static void a_right_plugin_is_loaded(void **state)
{
	struct plugin *plugin = NULL;
	const struct plugin_class *class;
	struct err err = ERR_NONE;
	int r = plugin_load(built(".libs/led.so"), &plugin, &err);

	(void)state;
	if (r < 0)
		fail_msg("%s", err.text);
	assert_string_equal(plugin->id, "com.acme.led");
	assert_string_equal(plugin->version, "1.0");
	assert_int_equal(plugin->abi_minor, BP_ABI_MINOR);
	assert_int_equal(plugin->class_count, 1);
	class = plugin_find_class(plugin, NULL);
	assert_ptr_equal(plugin_find_class(plugin, "led"), class);
	assert_null(plugin_find_class(plugin, "le"));
	assert_string_equal(class->decl.name, "led");
	assert_string_equal(class->decl.compatible, "acme,led");
	assert_null(class->decl.hid);
	assert_int_equal(class->decl.range_count, 1);
	assert_int_equal(class->decl.ranges[0].space, BP_MMIO);
	assert_int_equal(class->decl.ranges[0].length, 4);
	assert_string_equal(class->decl.ranges[0].base_param, "base");
	assert_non_null(class->callbacks.create);
	plugin_free(plugin);
}

static void a_plugin_can_be_loaded_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct plugin *plugin = NULL;
		struct err err = ERR_NONE;

		assert_int_equal(plugin_load(built(".libs/led.so"), &plugin, &err), 0);
		plugin_free(plugin);
	}
	plugin_free(NULL);
}

static void loading_leaves_no_descriptor(void **state)
{
	struct plugin *plugin = NULL;
	struct err err = ERR_NONE;
	size_t before = count_fds();

	(void)state;
	assert_int_equal(plugin_load(built(".libs/dma.so"), &plugin, &err), 0);
	assert_int_equal(count_fds(), before);
	plugin_free(plugin);
	refuse(built(".libs/bad_nonote.so"), -ENOEXEC, "has no backplane note");
	assert_int_equal(count_fds(), before);
}

/* ---- files ---- */

static void a_missing_file(void **state)
{
	(void)state;
	refuse(in_folder("none.so"), -ENOENT, "none.so\": No such file or directory");
	refuse("", -ENOENT, "No such file or directory");
}

static void a_folder(void **state)
{
	(void)state;
	refuse(folder, -ENOEXEC, "is not a regular file");
}

static void a_fifo(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(in_folder("fifo.so"), 0600), 0);
	refuse(in_folder("fifo.so"), -ENOEXEC, "is not a regular file");
}

static void a_device_file(void **state)
{
	(void)state;
	refuse("/dev/null", -ENOEXEC, "is not a regular file");
	refuse("/dev/tty",
	       access("/dev/tty", R_OK) == 0 && open("/dev/tty", O_RDONLY | O_CLOEXEC) >= 0 ? -ENOEXEC : -errno,
	       "plugin \"/dev/tty\"");
}

static void a_file_that_everybody_can_write(void **state)
{
	(void)state;
	copy_file(built(".libs/led.so"), in_folder("open.so"), 0666);
	refuse(in_folder("open.so"), -EPERM, "is writable by everybody: `chmod o-w` it if it can be trusted");
	copy_file(built(".libs/led.so"), in_folder("open.so"), 0602);
	refuse(in_folder("open.so"), -EPERM, "is writable by everybody");
}

static void a_link_is_judged_by_its_target(void **state)
{
	(void)state;
	copy_file(built(".libs/led.so"), in_folder("target.so"), 0666);
	assert_int_equal(symlink("target.so", in_folder("link.so")), 0);
	refuse(in_folder("link.so"), -EPERM, "is writable by everybody");
	assert_int_equal(symlink("loop.so", in_folder("loop.so")), 0);
	refuse(in_folder("loop.so"), -ELOOP, "cannot open plugin");
}

static void a_file_that_is_no_plugin(void **state)
{
	int fd = open(in_folder("text.so"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "#!/bin/sh\n", 10), 10);
	close(fd);
	refuse(in_folder("text.so"), -ENOEXEC, "is not an ELF file");
	refuse("/proc/self/exe", -ENOEXEC, "has no backplane note");
	/* Only its beginning: the note is there, the rest is not. */
	copy_file(built(".libs/led.so"), in_folder("cut.so"), 0600);
	assert_int_equal(truncate(in_folder("cut.so"), 4096), 0);
	refuse(in_folder("cut.so"), -ENOEXEC, "is truncated");
}

/* Its constructor would write to standard error. */
static void without_a_note_no_code_runs(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_DEBUG);
	refuse(built(".libs/bad_nonote.so"), -ENOEXEC, "has no backplane note: it is not a backplane plugin");
	assert_string_equal(log_caught(), "");
	log_release();
}

static void examining_tells_what_the_file_says(void **state)
{
	struct bp_note_desc note;
	struct err err = ERR_NONE;
	size_t before = count_fds();
	char *real = NULL, *expected = realpath(built(".libs/led.so"), NULL);

	(void)state;
	assert_non_null(expected);
	assert_int_equal(symlink(expected, in_folder("alias.so")), 0);
	assert_int_equal(plugin_examine(in_folder("alias.so"), &real, &note, &err), 0);
	assert_string_equal(real, expected);
	assert_string_equal(note.id, "com.acme.led");
	assert_int_equal(note.abi_minor, BP_ABI_MINOR);
	free(expected);
	free(real);
	/* One that cannot be loaded: nobody has tried. */
	assert_int_equal(plugin_examine(built(".libs/bad_undefined.so"), &real, &note, &err), 0);
	free(real);
	real = NULL;
	assert_int_equal(plugin_examine(built(".libs/bad_nonote.so"), &real, &note, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "has no backplane note"));
	assert_int_equal(plugin_examine(in_folder("none.so"), &real, &note, &err), -ENOENT);
	assert_null(real);
	assert_int_equal(count_fds(), before);
}

static void an_undefined_symbol(void **state)
{
	(void)state;
	refuse(built(".libs/bad_undefined.so"), -ENOEXEC, "undefined symbol: bp_test_nobody_has_this");
}

/* ---- tables that are wrong: tests/plugins/bad_class.c ---- */

static void each_flaw_is_refused(void **state)
{
	/* By the case's number. NULL: it can be loaded, and is refused when a configuration is checked, or right. */
	static const char *const parts[] = {
		NULL,                         /* right */
		NULL,                         /* a later table */
		"a class has no usable name", /* NULL */
		"a class has no usable name", /* characters */
		"a class has no usable name", /* long */
		"class table of 0 bytes, which is too small",
		"class of kind 4711, which this backplane does not know",
		"4294967295 parameters, at most 64",
		"entries of 8 bytes",
		"class \"bad\": table of \"parameters\": missing",
		"parameter \"irq\": stands twice",
		"parameter \"#2\": no name",
		"parameter \"speed\": unknown type 4711",
		NULL, /* a default that is not a value */
		"parameter \"irq\": min is greater than max",
		"parameter \"speed\": no choices",
		"groups are more than 4 deep",
		"class \"bad\": bad table of ranges",
		"class \"bad\": range 0 is malformed", /* length */
		"class \"bad\": range 0 is malformed", /* widths */
		"class \"bad\": range 0 is malformed", /* space */
		"range 0 is of ports and has no parameter for its base",
		"\"nowhere\" is not a parameter of type address",
		"\"base\" is not a parameter of type address",
		"class \"bad\" has no callback \"access\"",
		"class \"bad\": bad table of interrupts",
		"\"irq\" is not a parameter of type uint",
		"class \"bad\" has no callback \"create\"",
		"class \"bad\" has no callback \"reset\"",
		"class \"bad\" has no callback \"destroy\"",
		NULL, /* a HID that firmware does not know */
		"its class 1 is NULL",
		"it has two classes \"bad\"",
		"it has 4294967295 classes; 1 to 16 are possible",
		"its descriptor and its note name different ids",
		"its descriptor has 0 bytes, which is too small",
	};
	FILE *stamp = fopen(built("bad/stamp"), "r");
	unsigned int count = 0;

	(void)state;
	assert_non_null(stamp);
	assert_int_equal(fscanf(stamp, "%u", &count), 1);
	fclose(stamp);
	/* A new case needs a row here. */
	assert_int_equal(count, COUNT_OF(parts));
	for (unsigned int i = 0; i < count; i++) {
		struct plugin *plugin = NULL;
		struct err err = ERR_NONE;
		char name[64];

		snprintf(name, sizeof(name), "bad/bad_class_%u.so", i);
		if (parts[i]) {
			refuse(built(name), -EINVAL, parts[i]);
			continue;
		}
		if (plugin_load(built(name), &plugin, &err) < 0)
			fail_msg("case %u: %s", i, err.text);
		assert_string_equal(plugin->id, "org.backplane.test.class");
		plugin_free(plugin);
	}
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_right_plugin_is_loaded),
		TEST(a_plugin_can_be_loaded_again),
		TEST(loading_leaves_no_descriptor),
		TEST(a_missing_file),
		TEST(a_folder),
		TEST(a_fifo),
		TEST(a_device_file),
		TEST(a_file_that_everybody_can_write),
		TEST(a_link_is_judged_by_its_target),
		TEST(a_file_that_is_no_plugin),
		TEST(without_a_note_no_code_runs),
		TEST(examining_tells_what_the_file_says),
		TEST(an_undefined_symbol),
		TEST(each_flaw_is_refused),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
