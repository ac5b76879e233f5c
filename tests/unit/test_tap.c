/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tap interfaces, made and existing, with one queue and several, by name and by descriptor. In a network namespace of the test's
 * own, where it may do everything; what it may not do is tried by a process that has given that up.
 */
#include "tests/payload/uplink.h"
#include "tests/unit/open_fixture.h"

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SKIPPED 77

static bool has_taps, has_theirs;

static int setup(void **state)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	FD_AUTO int fd = -1;

	if (uplink_unshare() == 0)
		fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	has_taps = fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0;
	return net_folder_setup(state);
}

/* As somebody else would: a tap that stays, until it is dropped. */
static int make_tap(const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1UL), 0);
	return fd;
}

static void drop_tap(const char *name, short flags)
{
	int fd = make_tap(name, flags);

	assert_int_equal(ioctl(fd, TUNSETPERSIST, 0UL), 0);
	close(fd);
}

static bool is_there(const char *name)
{
	return if_nametoindex(name) != 0;
}

static void expect_queue(int fd, const char *name, bool multi)
{
	const unsigned int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0);
	struct ifreq request = { .ifr_flags = 0 };
	int header = 0, little = 0;

	assert_own_fd(fd);
	assert_int_equal(ioctl(fd, TUNGETIFF, &request), 0);
	assert_string_equal(request.ifr_name, name);
	assert_int_equal((unsigned short)request.ifr_flags & ~IFF_PERSIST, flags);
	assert_int_equal(ioctl(fd, TUNGETVNETHDRSZ, &header), 0);
	assert_int_equal(header, 12);
	assert_int_equal(ioctl(fd, TUNGETVNETLE, &little), 0);
	assert_int_equal(little, 1);
}

static void expect_queues(const struct network *network, const char *name, uint32_t count)
{
	assert_int_equal(network->kind, BP_NETWORK_TAP);
	assert_int_equal(network->flags, 0);
	assert_int_equal(network->fd_count, count);
	for (uint32_t i = 0; i < count; i++)
		expect_queue(network->fds[i], name, count > 1);
}

#define NEEDS_TAPS()            \
	do {                    \
		if (!has_taps)  \
			skip(); \
	} while (0)

/* ---- by name ---- */

static void a_tap_is_made_and_goes_with_its_descriptors(void **state)
{
	struct opened opened;

	(void)state;
	NEEDS_TAPS();
	expect_queues(open_network(&opened, "tap:vm0", 0), "vm0", 1);
	assert_true(is_there("vm0"));
	opened_end(&opened);
	assert_false(is_there("vm0"));
}

static void the_name_that_the_kernel_chooses_is_printed(void **state)
{
	const struct network *network;
	struct opened opened;
	char line[64];

	(void)state;
	NEEDS_TAPS();
	log_catch(LOG_LEVEL_ERROR);
	network = open_network(&opened, "tap", 0);
	snprintf(line, sizeof(line), "%.60s", log_caught());
	log_release();
	opened.fds_before -= 2;
	assert_string_equal(line, "devices.net0.network: tap0\n");
	expect_queues(network, "tap0", 1);
	opened_end(&opened);
}

static void a_tap_is_not_brought_up(void **state)
{
	struct ifreq request = { .ifr_name = "vm0" };
	FD_AUTO int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct opened opened;

	(void)state;
	NEEDS_TAPS();
	open_network(&opened, "tap:vm0", 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	assert_false((unsigned short)request.ifr_flags & IFF_UP);
	opened_end(&opened);
}

static void one_descriptor_for_each_pair(void **state)
{
	struct opened opened;

	(void)state;
	NEEDS_TAPS();
	expect_queues(open_network(&opened, "tap:vm0", 2), "vm0", 2);
	opened_end(&opened);
	expect_queues(open_network(&opened, "tap:vm0", BP_NETWORK_FDS_MAX), "vm0", BP_NETWORK_FDS_MAX);
	opened_end(&opened);
	assert_false(is_there("vm0"));
}

static int get_feature(const char *name, uint32_t command)
{
	struct ethtool_value value = { .cmd = command };
	struct ifreq request = { .ifr_data = (void *)&value };
	FD_AUTO int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
	return (int)value.data;
}

/* Whoever had it before may have had other headers, other features, and another byte order. */
static void an_existing_tap_is_used_and_stays(void **state)
{
	const int header = 10, big = 0;
	struct opened opened;
	int fd;

	(void)state;
	NEEDS_TAPS();
	fd = make_tap("vm0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &header), 0);
	assert_int_equal(ioctl(fd, TUNSETVNETLE, &big), 0);
	assert_int_equal(ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)), 0);
	assert_int_equal(get_feature("vm0", ETHTOOL_GTSO), 1);
	close(fd);
	expect_queues(open_network(&opened, "tap:vm0", 1), "vm0", 1);
	assert_int_equal(get_feature("vm0", ETHTOOL_GTSO), 0);
	assert_int_equal(get_feature("vm0", ETHTOOL_GTXCSUM), 0);
	opened_end(&opened);
	assert_true(is_there("vm0"));
	drop_tap("vm0", IFF_TAP);
}

static void an_existing_tap_with_several_queues(void **state)
{
	struct opened opened;

	(void)state;
	NEEDS_TAPS();
	close(make_tap("vm0", IFF_TAP | IFF_MULTI_QUEUE));
	expect_queues(open_network(&opened, "tap:vm0", 3), "vm0", 3);
	opened_end(&opened);
	assert_true(is_there("vm0"));
	drop_tap("vm0", IFF_TAP | IFF_MULTI_QUEUE);
}

static void taps_of_the_other_kind(void **state)
{
	(void)state;
	NEEDS_TAPS();
	close(make_tap("one", IFF_TAP));
	close(make_tap("several", IFF_TAP | IFF_MULTI_QUEUE));
	refuse_network(
	    "tap:one", 2,
	    "the interface \"one\" has one queue, and this device 2 pairs: it has to be made with several (ip tuntap "
	    "add dev one mode tap multi_queue user USER)");
	refuse_network(
	    "tap:several", 0,
	    "the interface \"several\" has several queues, and this device one pair: it has to be made with one (ip "
	    "tuntap add dev several mode tap user USER)");
	drop_tap("one", IFF_TAP);
	drop_tap("several", IFF_TAP | IFF_MULTI_QUEUE);
}

static void interfaces_that_are_no_taps(void **state)
{
	(void)state;
	NEEDS_TAPS();
	refuse_network("tap:lo", 0, "the interface \"lo\" is no tap");
	close(make_tap("tun", IFF_TUN));
	refuse_network("tap:tun", 0, "the interface \"tun\" is no tap");
	refuse_network("tap:tun", 2, "the interface \"tun\" is no tap");
	drop_tap("tun", IFF_TUN);
}

static void a_tap_that_is_in_use(void **state)
{
	int fd;

	(void)state;
	NEEDS_TAPS();
	fd = make_tap("vm0", IFF_TAP);
	refuse_network("tap:vm0", 0, "somebody else uses the interface \"vm0\"");
	close(fd);
	drop_tap("vm0", IFF_TAP);
}

/* ---- without permission ---- */

/* In a process of its own, whose assertions are this one's. */
static void apart(void (*test)(void))
{
	pid_t child;
	int status = 0;

	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* What fails in here prints why, and this is the end of it. */
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void expect_refusal(const char *text, uint64_t pairs, const char *message)
{
	struct opened opened;
	int r = try_network(&opened, text, pairs);

	if (r == 0 || !strstr(opened.err.text, message)) {
		fprintf(stderr, "%d, \"%s\" instead of \"%s\"\n", r, opened.err.text, message);
		_exit(1);
	}
	opened_end(&opened);
}

static void powerless(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	MUST(syscall(SYS_capset, &header, none) == 0);
	close(fd);
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		_exit(SKIPPED);
	expect_refusal(
	    "tap", 0,
	    "no permission to make an interface: name one (\"tap:NAME\") that an administrator has made (ip tuntap add "
	    "dev NAME mode tap user USER), or use \"passt\"");
	expect_refusal(
	    "tap:vm0", 0,
	    "no permission to make the interface \"vm0\": have an administrator make it (ip tuntap add dev vm0 mode "
	    "tap user USER), or use \"passt\"");
	expect_refusal("tap:vm0", 2, "(ip tuntap add dev vm0 mode tap multi_queue user USER), or use \"passt\"");
	if (has_theirs)
		expect_refusal(
		    "tap:theirs", 0,
		    "no permission to use the interface \"theirs\": it was made for another user (ip tuntap add dev theirs mode "
		    "tap user USER)");
}

static void what_a_plain_user_may_not_do(void **state)
{
	int fd;

	(void)state;
	NEEDS_TAPS();
	fd = make_tap("theirs", IFF_TAP);
	/* Where there is nobody else in the namespace, nothing can be theirs. */
	has_theirs = ioctl(fd, TUNSETOWNER, (unsigned long)geteuid() + 1) == 0;
	close(fd);
	apart(powerless);
	drop_tap("theirs", IFF_TAP);
}

static void without_the_file(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/dev/net", "tmpfs", 0, "size=4k") < 0)
		_exit(SKIPPED);
	expect_refusal(
	    "tap", 0,
	    "there is no /dev/net/tun: load the kernel's module (modprobe tun), or use \"passt\", which needs none");
	close(open("/dev/net/tun", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	expect_refusal("tap:vm0", 0, "cannot open the interface \"vm0\": Inappropriate ioctl for device");
}

static void a_host_without_taps(void **state)
{
	(void)state;
	NEEDS_TAPS();
	apart(without_the_file);
}

/* ---- by descriptor ---- */

/* As one that the program was started with. */
static int give(const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

#define TEXT(...)                                            \
	({                                                   \
		static char text_[256];                      \
		snprintf(text_, sizeof(text_), __VA_ARGS__); \
		(const char *)text_;                         \
	})

#define GIVEN (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

static void descriptors_are_taken_over(void **state)
{
	struct opened opened, again;
	int a, b;

	(void)state;
	NEEDS_TAPS();
	a = give("vm0", GIVEN | IFF_MULTI_QUEUE);
	b = give("vm0", GIVEN | IFF_MULTI_QUEUE);
	assert_int_equal(try_network(&opened, TEXT("fd:%d,%d", a, b), 2), 0);
	opened.fds_before -= 2;
	expect_queues(network_of(&opened), "vm0", 2);
	/* Nobody else finds them, even where their numbers are those of ours now. */
	assert_int_not_equal(fcntl(a, F_GETFD), 0);
	assert_int_not_equal(fcntl(b, F_GETFD), 0);
	refuse_network(TEXT("fd:%d", a), 0,
		       TEXT("descriptor %d is not one that the program was started with, or another device has it", a));
	a = network_of(&opened)->fds[0];
	assert_true(try_network(&again, TEXT("fd:%d", a), 1) < 0);
	assert_non_null(
	    strstr(again.err.text,
		   TEXT("descriptor %d is not one that the program was started with, or another device", a)));
	opened_end(&again);
	opened_end(&opened);
	assert_false(is_there("vm0"));
}

static void descriptors_that_are_no_such_tap(void **state)
{
	int fd, other;

	(void)state;
	NEEDS_TAPS();
	fd = open("/dev/null", O_RDWR);
	refuse_network(TEXT("fd:%d", fd), 0, TEXT("descriptor %d is no tap interface", fd));
	close(fd);
	fd = open("/dev/net/tun", O_RDWR);
	refuse_network(TEXT("fd:%d", fd), 0, TEXT("descriptor %d is no tap interface", fd));
	close(fd);
	fd = give("vm0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	refuse_network(TEXT("fd:%d", fd), 0, TEXT("descriptor %d, interface \"vm0\", is no tap, but a tun", fd));
	close(fd);
	fd = give("vm0", IFF_TAP | IFF_NO_PI);
	refuse_network(TEXT("fd:%d", fd), 0,
		       TEXT("descriptor %d, interface \"vm0\", was opened without IFF_VNET_HDR or without IFF_NO_PI",
			    fd));
	close(fd);
	fd = give("vm0", GIVEN);
	other = give("vm1", GIVEN);
	/* None is taken then. */
	refuse_network(TEXT("fd:%d,%d", fd, other), 2,
		       TEXT("descriptors %d and %d are of two interfaces, \"vm0\" and \"vm1\"", fd, other));
	close(fd);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tap_is_made_and_goes_with_its_descriptors),
		cmocka_unit_test(the_name_that_the_kernel_chooses_is_printed),
		cmocka_unit_test(a_tap_is_not_brought_up),
		cmocka_unit_test(one_descriptor_for_each_pair),
		cmocka_unit_test(an_existing_tap_is_used_and_stays),
		cmocka_unit_test(an_existing_tap_with_several_queues),
		cmocka_unit_test(taps_of_the_other_kind),
		cmocka_unit_test(interfaces_that_are_no_taps),
		cmocka_unit_test(a_tap_that_is_in_use),
		cmocka_unit_test(what_a_plain_user_may_not_do),
		cmocka_unit_test(a_host_without_taps),
		cmocka_unit_test(descriptors_are_taken_over),
		cmocka_unit_test(descriptors_that_are_no_such_tap),
	};

	return cmocka_run_group_tests_name("tap", tests, setup, net_folder_teardown);
}
