/* SPDX-License-Identifier: BSD-3-Clause */
/* The terminal in raw mode; see terminal.h. */
#include "core/base/terminal.h"

#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* `fd` is a duplicate, so that nobody else closes it. Written once, before `raw` is set. */
static struct {
	int fd;
	struct termios before;
	struct termios wanted;
	atomic_bool raw;
	bool hooked;
} terminal = { .fd = -1 };

static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT, SIGHUP, SIGALRM };

void terminal_restore(void)
{
	if (atomic_exchange(&terminal.raw, false)) {
		/* A terminal that is gone needs no restoring. */
		(void)tcsetattr(terminal.fd, TCSANOW, &terminal.before);
		log_set_raw_terminal(false);
	}
}

static void on_fatal(int number)
{
	terminal_restore();
	/* SA_RESETHAND has put the default action back: it happens when this handler returns. */
	raise(number);
}

static void hook(void)
{
	struct sigaction action = { .sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND };

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]); i++)
		sigaction(fatal_signals[i], &action, NULL);
	atexit(terminal_restore);
	terminal.hooked = true;
}

int terminal_raw(int fd, struct err *err)
{
	if (!isatty(fd))
		return 0;
	if (terminal.fd < 0)
		terminal.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (terminal.fd < 0 || tcgetattr(terminal.fd, &terminal.before) < 0)
		return err_sys(err, -errno, "the terminal");
	terminal.wanted = terminal.before;
	cfmakeraw(&terminal.wanted);
	if (!terminal.hooked)
		hook();
	atomic_store(&terminal.raw, true);
	log_set_raw_terminal(true);
	if (tcsetattr(terminal.fd, TCSANOW, &terminal.wanted) < 0) {
		atomic_store(&terminal.raw, false);
		log_set_raw_terminal(false);
		return err_sys(err, -errno, "the terminal cannot be made raw");
	}
	return 0;
}

void terminal_resume(void)
{
	if (atomic_load(&terminal.raw))
		(void)tcsetattr(terminal.fd, TCSANOW, &terminal.wanted);
}
