/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a VMM and watches it from outside: when its guest says something on the console, and what that took. Used by tests/bench
 * and tests/guest/counts.test.
 *
 *     watch [--limit SECONDS] --mark TEXT [--hook COMMAND] [--log FILE] [--spans TEXT [--preload LIBRARY]] PROGRAM [ARG]...
 *     watch [--limit SECONDS] --start LIBRARY PROGRAM [ARG]...
 *
 * With --mark it waits for the first line of the program's standard output that begins with TEXT, prints
 *   mark_us=N      from just before the program's execve() until the end of that line arrived here
 *   mark_text=T    what follows TEXT and a space in the line
 *   user_exits=N   returns of KVM_RUN in all its threads (perf, tracepoint kvm:kvm_userspace_exit)
 *   exits=N        exits of the guest, those that KVM dealt with itself as well (debugfs, kvm/PID-FD/exits)
 * and then waits until the program has ended, with status 0. A count that this host does not give is left out. With --hook it
 * runs the command, by sh and with the program's process in $PID, instead of waiting; and then ends the program.
 * With --spans lines before that, which begin with that TEXT, go "TEXT NAME begin" and "TEXT NAME end". What was counted between
 * the arrivals of the two, in all threads, is printed as NAME.user_exits=N, NAME.syscalls=N (tracepoint raw_syscalls:sys_enter),
 * NAME.main_switches=N (how often its main thread has left a processor) and, with the library (allocs.c), NAME.allocations=N.
 * With --start it runs the program with the library (stamps.c) and prints what that reports.
 * It ends when all processes that the program has started have ended, too.
 * Anything else ends with 1 and a line on standard error, and nothing on standard output; and so does the limit (60 s).
 *
 * One process, one thread. The program has no input; what it prints goes to --log if that is given, its errors always to
 * standard error. It is killed if this program dies.
 */
#include "tests/bench/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define NS_PER_S       UINT64_C(1000000000)
#define NS_PER_US      UINT64_C(1000)
#define SPANS_MAX      16
#define SPAN_NAME_MAX  32

struct options {
	uint64_t limit_s;
	const char *mark;
	const char *hook;
	const char *log;
	const char *library;
	const char *spans;
	const char *preload;
	char **argv;
};

struct span {
	char name[SPAN_NAME_MAX];
	bool ended;
	struct counts counts; /* at its begin, and from it to its end */
};

struct watched {
	const struct options *options;
	pid_t pid;
	int output;         /* its standard output, or the stamps */
	int log;            /* or -1 */
	uint64_t *start_ns; /* shared: written by the child just before execve() */
	uint64_t deadline_ns;
	char line[LINE_MAX_BYTES];
	size_t line_bytes;
	struct counters counters;
	size_t span_count;
	struct span spans[SPANS_MAX];
};

static pid_t to_kill;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list list;

	if (to_kill > 0)
		kill(to_kill, SIGKILL);
	fputs("watch: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	exit(1);
}

/* ---- the program ---- */

/* The child: waits for a byte, so that everything is in place, and becomes the program. */
__attribute__((noreturn)) static void become(const struct watched *watched, int go, int output)
{
	const struct options *options = watched->options;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		_exit(127);
	if (options->library) {
		char text[32];

		snprintf(text, sizeof(text), "%d", output);
		setenv("BENCH_STAMPS_FD", text, 1);
		setenv("LD_PRELOAD", options->library, 1);
		fcntl(output, F_SETFD, 0);
		dup2(null, STDOUT_FILENO);
	} else if (dup2(output, STDOUT_FILENO) < 0) {
		_exit(127);
	}
	if (options->preload) {
		counters_pass_allocations(&watched->counters);
		setenv("LD_PRELOAD", options->preload, 1);
	}
	if (read(go, &byte, 1) != 1)
		_exit(127);
	*watched->start_ns = now_ns();
	if (options->library) {
		char text[32];

		snprintf(text, sizeof(text), "%" PRIu64, *watched->start_ns);
		setenv("BENCH_START_NS", text, 1);
	}
	execvp(options->argv[0], options->argv);
	fprintf(stderr, "watch: %s: %s\n", options->argv[0], strerror(errno));
	_exit(127);
}

static void start(struct watched *watched)
{
	int output[2], go[2];

	watched->start_ns = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (watched->start_ns == MAP_FAILED || pipe2(output, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		fail("%s", strerror(errno));
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		fail("%s", strerror(errno));
	if (!counters_init(&watched->counters, watched->options->preload != NULL))
		fail("%s", strerror(errno));
	watched->pid = fork();
	if (watched->pid < 0)
		fail("fork: %s", strerror(errno));
	if (watched->pid == 0)
		become(watched, go[0], output[1]);
	to_kill = watched->pid;
	close(output[1]);
	close(go[0]);
	watched->output = output[0];
	if (watched->options->mark)
		counters_open(&watched->counters, watched->pid);
	watched->deadline_ns = now_ns() + watched->options->limit_s * NS_PER_S;
	if (write(go[1], "g", 1) != 1)
		fail("the child did not start");
	close(go[1]);
}

/* Those that it has started, and that have become our children with its end: the next program is not to meet them. */
static void wait_rest(const struct watched *watched)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid == 0 && now_ns() > watched->deadline_ns)
			fail("processes of the program did not end within the limit of %" PRIu64 " s",
			     watched->options->limit_s);
		if (pid == 0)
			usleep(200);
	}
	if (errno != ECHILD)
		fail("waitpid: %s", strerror(errno));
}

/* Waits until the program has ended. */
static int wait_end(const struct watched *watched)
{
	int status;

	for (;;) {
		pid_t pid = waitpid(watched->pid, &status, WNOHANG);

		if (pid == watched->pid)
			break;
		if (pid < 0)
			fail("waitpid: %s", strerror(errno));
		if (now_ns() > watched->deadline_ns)
			fail("the program did not end within the limit of %" PRIu64 " s", watched->options->limit_s);
		usleep(2000);
	}
	to_kill = 0;
	wait_rest(watched);
	return status;
}

static void check_end(int status)
{
	if (WIFSIGNALED(status))
		fail("the program was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		fail("the program ended with status %d", WEXITSTATUS(status));
}

/* Some bytes of its output: 0 at the end. */
static size_t read_output(const struct watched *watched, char *data, size_t room)
{
	for (;;) {
		struct pollfd fd = { .fd = watched->output, .events = POLLIN };
		uint64_t now = now_ns();
		ssize_t bytes;

		if (now >= watched->deadline_ns)
			fail("nothing within the limit of %" PRIu64 " s", watched->options->limit_s);
		if (poll(&fd, 1, (int)((watched->deadline_ns - now) / 1000000 + 1)) <= 0)
			continue;
		bytes = read(watched->output, data, room);
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			fail("cannot read its output: %s", strerror(errno));
		if (watched->log >= 0 && bytes > 0 && write(watched->log, data, (size_t)bytes) != bytes)
			fail("cannot write to %s", watched->options->log);
		return (size_t)bytes;
	}
}

/* ---- --mark ---- */

/* A line that begins or ends a span, or something else. */
static void look_for_span(struct watched *watched)
{
	const char *prefix = watched->options->spans;
	struct span *span = &watched->spans[watched->span_count];
	char name[SPAN_NAME_MAX], word[8];

	if (!prefix || strncmp(watched->line, prefix, strlen(prefix)) != 0 ||
	    sscanf(watched->line + strlen(prefix), " %31s %7s", name, word) != 2)
		return;
	if (!strcmp(word, "begin")) {
		if (watched->span_count == SPANS_MAX || (watched->span_count && !span[-1].ended))
			fail("a span within another, or one too many: %s", name);
		memcpy(span->name, name, sizeof(name));
		counters_read(&watched->counters, &span->counts);
		watched->span_count++;
	} else if (!strcmp(word, "end")) {
		struct counts now;

		counters_read(&watched->counters, &now);
		if (!watched->span_count || span[-1].ended || strcmp(span[-1].name, name) != 0)
			fail("the end of a span that has not begun: %s", name);
		counts_since(&now, &span[-1].counts);
		span[-1].ended = true;
	}
}

/* Before anything is printed. */
static void check_spans(const struct watched *watched)
{
	for (size_t i = 0; i < watched->span_count; i++)
		if (!watched->spans[i].ended)
			fail("a span without an end: %s", watched->spans[i].name);
}

static void print_spans(const struct watched *watched)
{
	for (size_t i = 0; i < watched->span_count; i++) {
		const struct span *span = &watched->spans[i];

		for (size_t j = 0; j < COUNTS; j++)
			if (span->counts.has[j])
				printf("%s.%s=%" PRIu64 "\n", span->name, counts_names[j], span->counts.values[j]);
	}
}

/* Takes bytes until a line begins with the mark; false if none of them ends one. */
static bool find_mark(struct watched *watched, const char *data, size_t bytes)
{
	size_t mark_bytes = strlen(watched->options->mark);

	for (size_t i = 0; i < bytes; i++) {
		if (data[i] == '\n' || data[i] == '\r') {
			bool found = watched->line_bytes >= mark_bytes &&
				     !memcmp(watched->line, watched->options->mark, mark_bytes);

			watched->line[watched->line_bytes] = 0;
			if (found)
				return true;
			look_for_span(watched);
			watched->line_bytes = 0;
		} else if (watched->line_bytes < LINE_MAX_BYTES - 1) {
			watched->line[watched->line_bytes++] = data[i];
		}
	}
	return false;
}

static void run_hook(const struct watched *watched)
{
	char pid[32];
	int status;

	snprintf(pid, sizeof(pid), "%d", (int)watched->pid);
	setenv("PID", pid, 1);
	status = system(watched->options->hook);
	if (status)
		fail("the hook failed (wait status 0x%x)", (unsigned int)status);
	kill(watched->pid, SIGTERM);
}

static void watch_mark(struct watched *watched)
{
	struct counts counts;
	uint64_t mark_ns, exits = 0;
	bool has_exits;
	char data[LINE_MAX_BYTES];
	const char *text;
	size_t bytes;
	int status;

	do {
		bytes = read_output(watched, data, sizeof(data));
		mark_ns = now_ns();
		if (!bytes) {
			check_end(wait_end(watched));
			fail("the guest ended without \"%s\"", watched->options->mark);
		}
	} while (!find_mark(watched, data, bytes));
	counters_read(&watched->counters, &counts);
	has_exits = counters_all_exits(watched->pid, &exits);
	if (watched->options->hook)
		run_hook(watched);
	while (read_output(watched, data, sizeof(data)))
		;
	status = wait_end(watched);
	/* A program that we end may say that it was ended. */
	if (!watched->options->hook)
		check_end(status);
	check_spans(watched);
	text = watched->line + strlen(watched->options->mark);
	printf("mark_us=%" PRIu64 "\nmark_text=%s\n", (mark_ns - *watched->start_ns) / NS_PER_US,
	       *text == ' ' ? text + 1 : text);
	if (counts.has[COUNT_USER_EXITS])
		printf("user_exits=%" PRIu64 "\n", counts.values[COUNT_USER_EXITS]);
	if (has_exits)
		printf("exits=%" PRIu64 "\n", exits);
	print_spans(watched);
}

/* ---- --start ---- */

static void watch_start(struct watched *watched)
{
	char text[LINE_MAX_BYTES];
	size_t have = 0, bytes;

	do {
		bytes = read_output(watched, text + have, sizeof(text) - 1 - have);
		have += bytes;
	} while (bytes && have < sizeof(text) - 1);
	text[have] = 0;
	check_end(wait_end(watched));
	if (!strstr(text, "run_us="))
		fail("the program ended before it ran a guest");
	fputs(text, stdout);
}

/* ---- options ---- */

static bool parse(int argc, char **argv, struct options *options)
{
	int i = 1;

	for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
		const char *value = argv[i + 1];
		char *end;

		if (!strcmp(argv[i], "--limit")) {
			options->limit_s = strtoul(value, &end, 10);
			if (*end || !options->limit_s || options->limit_s > 86400)
				return false;
		} else if (!strcmp(argv[i], "--mark")) {
			options->mark = value;
		} else if (!strcmp(argv[i], "--hook")) {
			options->hook = value;
		} else if (!strcmp(argv[i], "--log")) {
			options->log = value;
		} else if (!strcmp(argv[i], "--start")) {
			options->library = value;
		} else if (!strcmp(argv[i], "--spans")) {
			options->spans = value;
		} else if (!strcmp(argv[i], "--preload")) {
			options->preload = value;
		} else {
			return false;
		}
	}
	options->argv = argv + i;
	return i < argc && !options->mark != !options->library &&
	       (options->mark || (!options->hook && !options->log && !options->spans)) &&
	       (options->spans || !options->preload) && (!options->mark || *options->mark);
}

int main(int argc, char **argv)
{
	struct options options = { .limit_s = 60 };
	struct watched watched = { .options = &options, .log = -1 };

	if (!parse(argc, argv, &options)) {
		fputs("usage: watch [--limit SECONDS] --mark TEXT [--hook COMMAND] [--log FILE]\n"
		      "             [--spans TEXT [--preload LIBRARY]] PROGRAM [ARG]...\n"
		      "       watch [--limit SECONDS] --start LIBRARY PROGRAM [ARG]...\n",
		      stderr);
		return 2;
	}
	if (options.log) {
		watched.log = open(options.log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (watched.log < 0)
			fail("%s: %s", options.log, strerror(errno));
	}
	start(&watched);
	if (options.mark)
		watch_mark(&watched);
	else
		watch_start(&watched);
	return 0;
}
