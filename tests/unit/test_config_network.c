/* SPDX-License-Identifier: BSD-3-Clause */
/* NETWORK and SOCKET values in configurations: each that cannot be is told with its line. */
#include "tests/unit/config_files.h"

#include "core/config/network.h"

static const struct bp_param net_params[] = {
	{ .name = "network", .type = BP_P_NETWORK, .pairs_param = "pairs" },
	{ .name = "pairs", .type = BP_P_UINT, .def = "1", .min = 1, .max = 16 },
	{ .name = "more", .type = BP_P_NETWORK },
	{ .name = "uds", .type = BP_P_SOCKET, .flags = BP_P_LISTEN | BP_P_CONNECT },
	{ .name = "in", .type = BP_P_SOCKET, .flags = BP_P_LISTEN },
};

/* The keys stand in line 5. */
#define NET(keys) HEAD "devices = (\n  { plugin = \"virtio-net\"; id = \"net0\";\n" keys "\n} );\n"
#define AT        "vm.conf:5: devices.net0."
#define OF_48     "123456789012345678901234567890123456789012345678"
#define OF_96     OF_48 OF_48

static int load_net(const char *text, const char *const *sets, struct loaded *loaded, struct err *err)
{
	write_file("vm.conf", text);
	return load_table("vm.conf", sets, net_params, COUNT(net_params), loaded, err);
}

static void refuse(const struct bad_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct err err = ERR_NONE;
		struct loaded loaded;
		int r = load_net(cases[i].text, NULL, &loaded, &err);

		unload(&loaded);
		if (r != -EINVAL)
			fail_msg("%d instead of: %s", r, cases[i].error);
		assert_string_equal(err.text, cases[i].error);
	}
}

static void accept(const char *text)
{
	struct err err = ERR_NONE;
	struct loaded loaded;

	if (load_net(text, NULL, &loaded, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	unload(&loaded);
}

static void every_form_of_a_network(void **state)
{
	(void)state;
	accept(NET("network = \"tap\";"));
	accept(NET("network = \"tap:vm-1.0_x@123456\"; pairs = 16;"));
	accept(NET("network = \"fd:3\";"));
	accept(NET("network = \"fd:2147483639,10,4\"; pairs = 3;"));
	accept(NET("network = \"passt\";"));
	accept(NET("network = \"passt -q  -t 2222:22 -u none --log-file /tmp/x --no-tcp --outbound-if4 eth0\";"));
	accept(NET("network = \"connect:peer\";"));
	accept(NET("network = \"listen:" OF_96 "\";"));
}

static void texts_that_are_no_network(void **state)
{
#define EXPECTED "expected \"tap\", \"tap:NAME\", \"fd:N\", \"passt\", \"connect:PATH\" or \"listen:PATH\", found "
	static const struct bad_case cases[] = {
		{ NET("network = \"\";"), AT "network: " EXPECTED "\"\"" },
		{ NET("network = \"tap:\";"), AT "network: " EXPECTED "\"tap:\"" },
		{ NET("network = \"tap0\";"), AT "network: " EXPECTED "\"tap0\"" },
		{ NET("network = \"fd:\";"), AT "network: " EXPECTED "\"fd:\"" },
		{ NET("network = \"passt \";"), AT "network: " EXPECTED "\"passt \"" },
		{ NET("network = \"passt:x\";"), AT "network: " EXPECTED "\"passt:x\"" },
		{ NET("network = \"connect:\";"), AT "network: " EXPECTED "\"connect:\"" },
		{ NET("network = \"unix:a\";"), AT "network: " EXPECTED "\"unix:a\"" },
		{ NET("network = 3;"), AT "network: " EXPECTED "the integer 3" },
	};

	(void)state;
	refuse(cases, COUNT(cases));
}

static void interfaces_that_cannot_be(void **state)
{
#define BYTES ": it has a byte other than printable ASCII without blanks, '/', ':' and '%'"
	static const struct bad_case cases[] = {
		{ NET("network = \"tap:a234567890123456\";"),
		  AT "network: the name of an interface has at most 15 bytes, and \"a234567890123456\" has 16" },
		{ NET("network = \"tap:a/b\";"), AT "network: \"a/b\" is no name of an interface" BYTES },
		{ NET("network = \"tap:a:b\";"), AT "network: \"a:b\" is no name of an interface" BYTES },
		{ NET("network = \"tap:tap%d\";"), AT "network: \"tap%d\" is no name of an interface" BYTES },
		{ NET("network = \"tap: a\";"), AT "network: \" a\" is no name of an interface" BYTES },
		{ NET("network = \"tap:\\x7f\";"), AT "network: \"?\" is no name of an interface" BYTES },
		{ NET("network = \"tap:\xc3\xa4\";"), AT "network: \"\xc3\xa4\" is no name of an interface" BYTES },
		{ NET("network = \"tap:.\";"), AT "network: \".\" is no name of an interface" },
		{ NET("network = \"tap:..\";"), AT "network: \"..\" is no name of an interface" },
	};

	(void)state;
	refuse(cases, COUNT(cases));
}

static void descriptors_that_cannot_be(void **state)
{
#define NUMBERS "expected the numbers of descriptors such as \"fd:3\" or \"fd:3,4\", found "
	static const struct bad_case cases[] = {
		{ NET("network = \"fd:x\";"), AT "network: " NUMBERS "\"fd:x\"" },
		{ NET("network = \"fd:-3\";"), AT "network: " NUMBERS "\"fd:-3\"" },
		{ NET("network = \"fd:03\";"), AT "network: " NUMBERS "\"fd:03\"" },
		{ NET("network = \"fd:3,\";"), AT "network: " NUMBERS "\"fd:3,\"" },
		{ NET("network = \"fd:,3\";"), AT "network: " NUMBERS "\"fd:,3\"" },
		{ NET("network = \"fd:3 ,4\";"), AT "network: " NUMBERS "\"fd:3 ,4\"" },
		{ NET("network = \"fd:4294967299\";"), AT "network: " NUMBERS "\"fd:4294967299\"" },
		{ NET("network = \"fd:18446744073709551619\";"), AT "network: " NUMBERS "\"fd:18446744073709551619\"" },
		{ NET("network = \"fd:0\";"),
		  AT "network: descriptor 0 is standard input, output or error, not a network" },
		{ NET("network = \"fd:3,2\";"),
		  AT "network: descriptor 2 is standard input, output or error, not a network" },
		{ NET("network = \"fd:3,4,3\";"), AT "network: descriptor 3 stands twice" },
		{ NET("network = \"fd:3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19\";"),
		  AT "network: a network has at most 16 descriptors" },
		{ NET("network = \"fd:3\"; pairs = 2;"),
		  AT "network: \"pairs\" asks for 2 descriptors, and this names 1" },
		{ NET("network = \"fd:3,4\";"), AT "network: \"pairs\" asks for 1 descriptors, and this names 2" },
		{ NET("more = \"fd:3,4\"; pairs = 2;"), AT "more: expected one descriptor, found 2" },
	};

	(void)state;
	refuse(cases, COUNT(cases));
}

static void options_that_passt_is_not_given(void **state)
{
	static const char *const words[] = {
		"--fd=3", "--fd", "--f",   "--socket",  "--sock=x", "-s",        "-sx",  "-qs",
		"-F3",    "-qF",  "--pid", "-P",        "-f",       "-qf",       "--fo", "--foreground",
		"--help", "-h",   "-qh",   "--version", "-1",       "--one-off", "--o",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		char text[512], error[256];
		const struct bad_case bad = { text, error };

		snprintf(text, sizeof(text), NET("network = \"passt -t 22 %s x\";"), words[i]);
		snprintf(error, sizeof(error),
			 AT
			 "network: passt cannot be given \"%s\": how it is started, reached and ended is the program's "
			 "business",
			 words[i]);
		refuse(&bad, 1);
	}
	/* The same letters, but in the value of another option. */
	accept(NET("network = \"passt -lfs -t1 -Df -qlF --pcap=f\";"));
}

static void paths_that_are_too_long(void **state)
{
	static const struct bad_case cases[] = {
		{ NET("uds = \"" OF_96 "1\";"),
		  AT "uds: the path of a socket has at most 96 bytes where a number follows it, and this one has 97" },
		{ NET("in = \"" OF_96 "123456789012\";"),
		  AT "in: the path of a socket has at most 107 bytes, and this one has 108" },
		{ NET("network = \"connect:" OF_96 "123456789012\";"),
		  AT "network: the path of a socket has at most 107 bytes, and this one has 108" },
		{ NET("network = \"listen:" OF_96 "123456789012\";"),
		  AT "network: the path of a socket has at most 107 bytes, and this one has 108" },
		{ NET("uds = \"\";"), AT "uds: expected the path of a socket, found \"\"" },
		{ NET("uds = 4;"), AT "uds: expected the path of a socket, found the integer 4" },
	};

	(void)state;
	refuse(cases, COUNT(cases));
	accept(NET("uds = \"" OF_96 "\";"));
	accept(NET("in = \"" OF_96 "12345678901\";"));
	accept(NET("network = \"connect:" OF_96 "12345678901\";"));
}

/* What counts is the path that the kernel will see. */
static void paths_are_relative_to_their_file(void **state)
{
	struct err err = ERR_NONE;
	struct loaded loaded;

	(void)state;
	assert_true(mkdir("sub", 0700) == 0 || errno == EEXIST);
	write_file("sub/a.conf", NET("uds = \"" OF_96 "\";"));
	assert_int_equal(load_table("sub/a.conf", NULL, net_params, COUNT(net_params), &loaded, &err), -EINVAL);
	assert_string_equal(err.text,
			    "sub/a.conf:5: devices.net0.uds: the path of a socket has at most 96 bytes where a number "
			    "follows it, and this one has 100");
	unload(&loaded);
}

static void given_on_the_command_line(void **state)
{
	static const char *const good[] = { "devices.net0.network=passt -t 2222:22", NULL };
	static const char *const bad[] = { "devices.net0.network=tap:a/b", NULL };
	struct err err = ERR_NONE;
	struct loaded loaded;

	(void)state;
	assert_int_equal(load_net(NET(""), good, &loaded, &err), 0);
	assert_string_equal(values_text(loaded.device, "network", ""), "passt -t 2222:22");
	unload(&loaded);
	assert_int_equal(load_net(NET(""), bad, &loaded, &err), -EINVAL);
	assert_string_equal(err.text, "--set devices.net0.network: \"a/b\" is no name of an interface" BYTES);
	unload(&loaded);
}

static void words_of_options(void **state)
{
	const char *at = "  -t\t22 -q ", *word;
	size_t length;

	(void)state;
	assert_true(network_word(&at, &word, &length) && length == 2 && !memcmp(word, "-t", 2));
	assert_true(network_word(&at, &word, &length) && length == 2 && !memcmp(word, "22", 2));
	assert_true(network_word(&at, &word, &length) && length == 2 && !memcmp(word, "-q", 2));
	assert_false(network_word(&at, &word, &length));
	assert_false(network_word(&at, &word, &length));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_a_network),
		cmocka_unit_test(texts_that_are_no_network),
		cmocka_unit_test(interfaces_that_cannot_be),
		cmocka_unit_test(descriptors_that_cannot_be),
		cmocka_unit_test(options_that_passt_is_not_given),
		cmocka_unit_test(paths_that_are_too_long),
		cmocka_unit_test(paths_are_relative_to_their_file),
		cmocka_unit_test(given_on_the_command_line),
		cmocka_unit_test(words_of_options),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
