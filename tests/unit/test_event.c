/* SPDX-License-Identifier: BSD-3-Clause */
/* Eventfds of the core that another process has, too. */
#include "tests/unit/support.h"

#include "core/base/fd.h"

#include <fcntl.h>

static void what_was_added_is_taken_once(void **state)
{
	int fd = fd_event();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fd_event_clear(fd), 0);
	fd_event_signal(fd);
	fd_event_signal(fd);
	assert_int_equal(fd_event_clear(fd), 2);
	assert_int_equal(fd_event_clear(fd), 0);
	fd_close(fd);
}

/* A device's process could do that to the interrupts that a restart empties. */
static void clearing_one_that_was_made_to_block_does_not_block(void **state)
{
	int fd = fd_event();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	alarm(10);
	assert_int_equal(fd_event_clear(fd), 0);
	fd_event_signal(fd);
	assert_int_equal(fd_event_clear(fd), 1);
	alarm(0);
	fd_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_taken_once),
		cmocka_unit_test(clearing_one_that_was_made_to_block_does_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
