/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: one write a line, no control characters, levels, and a limit for what others can cause. */
#include "tests/unit/support.h"

#include "core/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define BURST   10
#define LINES   2000
#define THREADS 4

static int teardown(void **state)
{
	(void)state;
	log_set_raw_terminal(false);
	log_release();
	return 0;
}

static void a_line_has_a_prefix_and_an_end(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_DEBUG);
	log_error("one %d", 1);
	log_warn("two %s", "2");
	log_info("three");
	log_debug("%s", "");
	assert_string_equal(log_caught(), "backplane: error: one 1\n"
					  "backplane: warning: two 2\n"
					  "backplane: info: three\n"
					  "backplane: debug: \n");
}

static void levels_are_kept(void **state)
{
	(void)state;
	for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_catch(level);
		log_error("x");
		log_warn("x");
		log_info("x");
		log_debug("x");
		assert_int_equal(count_of_text(log_caught(), "\n"), level + 1);
		log_release();
	}
}

/* Also the longest line that there can be, and whatever a guest puts into it. */
static void lines_for_programs_have_no_level(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	log_catch(LOG_LEVEL_ERROR);
	log_tell("one %d\n", 1);
	log_set_raw_terminal(true);
	log_tell("%s", text);
	log_set_raw_terminal(false);
	assert_ptr_equal(strstr(log_caught(), "one 1?\nxxx"), log_caught());
	assert_int_equal(count_of_text(log_caught(), "x\r\n"), 1);
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_LEVEL_ERROR;

	(void)state;
	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_LEVEL_WARN);
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("Debug", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(log_level_parse("debugx", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void control_characters_are_replaced(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_WARN);
	for (char c = 1; c < 0x20; c++)
		log_warn("a%cb", c);
	log_warn("a%cb", 0x7f);
	assert_int_equal(count_of_text(log_caught(), "backplane: warning: a?b\n"), 32);
	assert_int_equal(count_of_text(log_caught(), "\n"), 32);
}

/* U+009B begins an escape sequence in one character; other letters beyond ASCII are none of our business. */
static void control_characters_of_utf_8_too(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_WARN);
	log_warn("a\xc2\x9b"
		 "31mb");
	log_warn("a\xc2\x80\xc2\x9f\xc2");
	log_warn("gr\xc3\xbc\xc3\x9f"
		 "e \xc2\xa0 \xe2\x82\xac");
	assert_string_equal(log_caught(), "backplane: warning: a??31mb\n"
					  "backplane: warning: a????\xc2\n"
					  "backplane: warning: gr\xc3\xbc\xc3\x9f"
					  "e \xc2\xa0 \xe2\x82\xac\n");
}

static void a_long_line_is_cut(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	log_catch(LOG_LEVEL_WARN);
	log_warn("%s", text);
	log_warn("next");
	assert_int_equal(count_of_text(log_caught(), "\n"), 2);
	assert_in_range(strcspn(log_caught(), "\n"), 1024, 1200);
	assert_non_null(strstr(log_caught(), "x\nbackplane: warning: next\n"));
}

static void a_raw_terminal_gets_carriage_returns(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	log_catch(LOG_LEVEL_WARN);
	log_set_raw_terminal(true);
	log_warn("one");
	log_warn("%s", text);
	log_set_raw_terminal(false);
	log_warn("two");
	assert_ptr_equal(strstr(log_caught(), "backplane: warning: one\r\n"), log_caught());
	assert_int_equal(count_of_text(log_caught(), "\r\n"), 2);
	assert_int_equal(count_of_text(log_caught(), "\n"), 3);
}

static void *log_lines(void *arg)
{
	const char *text = arg;

	for (int i = 0; i < LINES; i++)
		log_warn("%s", text);
	return NULL;
}

/* Standard error is a socket that keeps the bounds of what was written: each packet is a line, whoever writes at once. */
static void a_line_is_one_write(void **state)
{
	static char texts[THREADS][400];
	pthread_t threads[THREADS];
	int ends[2], saved;
	char packet[2000];
	size_t lines = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	saved = dup(STDERR_FILENO);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	for (size_t i = 0; i < THREADS; i++) {
		memset(texts[i], 'a' + (int)i, sizeof(texts[i]) - 1);
		MUST(pthread_create(&threads[i], NULL, log_lines, texts[i]) == 0);
	}
	for (; lines < THREADS * LINES; lines++) {
		ssize_t count = recv(ends[0], packet, sizeof(packet), 0);
		char letter;

		if (count != (ssize_t)(strlen("backplane: warning: ") + 399 + 1))
			break;
		letter = packet[count - 2];
		if (packet[count - 1] != '\n' || packet[strlen("backplane: warning: ")] != letter)
			break;
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	if (lines < THREADS * LINES)
		close(ends[0]);
	for (size_t i = 0; i < THREADS; i++)
		assert_true(thread_join(threads[i]));
	assert_int_equal(lines, THREADS * LINES);
	close(ends[0]);
}

/* ---- limits ---- */

static void a_limit_lets_so_much_through(void **state)
{
	struct log_limit limit = { 0 };
	uint32_t dropped = 77;

	(void)state;
	for (int i = 0; i < BURST; i++) {
		assert_true(log_limit_pass(&limit, &dropped));
		assert_int_equal(dropped, 0);
	}
	for (int i = 0; i < 25; i++)
		assert_false(log_limit_pass(&limit, &dropped));
	/* Ten seconds ago, as if. */
	limit.window_start_ns -= 10 * NS_PER_S;
	assert_true(log_limit_pass(&limit, &dropped));
	assert_int_equal(dropped, 25);
	assert_true(log_limit_pass(&limit, &dropped));
	assert_int_equal(dropped, 0);
	for (int i = 2; i < BURST; i++)
		assert_true(log_limit_pass(&limit, &dropped));
	assert_false(log_limit_pass(&limit, &dropped));
}

static void limited_site(int i)
{
	log_limited(LOG_LEVEL_WARN, "line %d", i);
}

static void a_site_has_a_budget(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_ERROR);
	/* What is not logged at this level costs nothing of it. */
	for (int i = 0; i < 100; i++)
		limited_site(i);
	log_set_level(LOG_LEVEL_WARN);
	for (int i = 0; i < 100; i++)
		limited_site(i);
	assert_int_equal(count_of_text(log_caught(), "\n"), BURST);
	assert_non_null(strstr(log_caught(), "line 0\n"));
	assert_null(strstr(log_caught(), "line 10"));
	/* Another site has its own. */
	log_limited(LOG_LEVEL_WARN, "elsewhere");
	assert_non_null(strstr(log_caught(), "elsewhere\n"));
}

static struct log_limit shared_limit;
static atomic_uint passed;

static void *pass_often(void *arg)
{
	uint32_t dropped;

	(void)arg;
	for (int i = 0; i < 10000; i++)
		if (log_limit_pass(&shared_limit, &dropped))
			atomic_fetch_add(&passed, 1);
	return NULL;
}

static void a_budget_is_shared_by_threads(void **state)
{
	pthread_t threads[THREADS];
	uint64_t start = clock_now_ns();

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pass_often, NULL), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_true(thread_join(threads[i]));
	/* On a machine so slow that it took longer there may be more. */
	assert_true(atomic_load(&passed) == BURST || clock_now_ns() - start >= 10 * NS_PER_S);
}

static enum log_level sink_level;
static char sink_text[64];

static void sink(enum log_level level, const char *text)
{
	sink_level = level;
	snprintf(sink_text, sizeof(sink_text), "%s", text);
}

static void a_sink_gets_the_words_alone(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_WARN);
	log_set_sink(sink);
	log_warn("number %d\033", 7);
	log_info("not at this level");
	log_set_sink(NULL);
	assert_string_equal(sink_text, "number 7?");
	assert_int_equal(sink_level, LOG_LEVEL_WARN);
	assert_string_equal(log_caught(), "");
	log_warn("back");
	assert_string_equal(log_caught(), "backplane: warning: back\n");
}

static void a_budget_may_have_another_size(void **state)
{
	struct log_limit limit = { 0 };
	uint32_t dropped, passes = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		passes += log_limit_pass_of(&limit, 40, &dropped);
	assert_int_equal(passes, 40);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_has_a_prefix_and_an_end),
		TEST(levels_are_kept),
		TEST(lines_for_programs_have_no_level),
		TEST(levels_have_names),
		TEST(a_sink_gets_the_words_alone),
		TEST(a_budget_may_have_another_size),
		TEST(control_characters_are_replaced),
		TEST(control_characters_of_utf_8_too),
		TEST(a_long_line_is_cut),
		TEST(a_raw_terminal_gets_carriage_returns),
		TEST(a_line_is_one_write),
		TEST(a_limit_lets_so_much_through),
		TEST(a_site_has_a_budget),
		TEST(a_budget_is_shared_by_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
