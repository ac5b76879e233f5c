/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kills a process of a VM at a random moment, from its start-up to its end, again and again, and looks whether anything is left:
 *
 *   kills VICTIM KILLS SEED FOLDER CONSOLE COMMAND [ARGUMENT]...
 *
 * The command runs a VM that ends by itself with status 0; how long that takes is found out first, and time and again, as other
 * things on this machine change it. A round in which the victim was not there yet, or not any more, is looked at and does not
 * count. The guest writes "ready" and at last "done" to the file CONSOLE. VICTIM is
 *   core      the command itself
 *   spawner   its child: it has to end with status 1, or 2 if the guest has not begun, and to say why, or with 0 if the guest had ended
 *   plugin    a child of that: the VM goes on
 *   nobody    each of KILLS rounds ends by itself, and nothing may be left at once
 * After each round there are no processes, and what is in FOLDER has the same names as before. A seed of 0 is taken
 * from the clock. Exit status: 0; 1 with lines on standard error; 124 if this does not work here.
 */
#include "tests/payload/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S      UINT64_C(1000000000)
#define LIMIT_MS      60000
#define TEXT_MAX      4096
#define CHILDREN_MAX  64
#define KILLS_MAX     100000
#define ROUNDS_A_KILL 10 /* at most, on average */
#define MEASURE_EVERY 10 /* rounds */

enum victim { CORE, SPAWNER, PLUGIN, NOBODY, VICTIMS };

static const char *const victims[] = { "core", "spawner", "plugin", "nobody" };

static struct {
	enum victim victim;
	unsigned long wanted;
	uint64_t seed;
	const char *folder, *console;
	char **command;
	uint64_t length_ns; /* of a run */
	int error_fd;
	unsigned long hits;
	unsigned long when[3]; /* hits before the guest was ready, until it was done, and after that */
} kills;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* splitmix64 */
static uint64_t draw(void)
{
	uint64_t z = kills.seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Of all names in a folder and below, in no order. */
static uint64_t names_in(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	uint64_t sum = 0;

	while (dir && (entry = readdir(dir))) {
		char below[TEXT_MAX];
		uint64_t hash = UINT64_C(0xcbf29ce484222325);

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		for (const char *at = below; *at; at++)
			hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
		sum += hash;
		if (entry->d_type == DT_DIR)
			sum += names_in(below);
	}
	if (dir)
		closedir(dir);
	return sum;
}

static bool console_says(const char *word)
{
	char text[TEXT_MAX];
	FILE *file = fopen(kills.console, "re");

	if (!file)
		return false;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return strstr(text, word);
}

static void read_errors(char text[static TEXT_MAX])
{
	ssize_t bytes = pread(kills.error_fd, text, TEXT_MAX - 1, 0);

	text[bytes > 0 ? bytes : 0] = '\0';
}

static pid_t start(void)
{
	unlink(kills.console);
	if (ftruncate(kills.error_fd, 0) < 0 || lseek(kills.error_fd, 0, SEEK_SET) < 0) {
		perror("kills");
		exit(124);
	}
	return family_start(kills.command, kills.error_fd);
}

/* Who is to be killed now; 0: it is not there. */
static pid_t find_victim(pid_t core)
{
	pid_t found[CHILDREN_MAX];
	pid_t at = core;

	for (enum victim depth = CORE; depth < kills.victim; depth++) {
		size_t count = family_children(at, found, CHILDREN_MAX);

		if (!count)
			return 0;
		at = found[draw() % count];
	}
	return at;
}

/* Whether the command may end so. */
static bool ends_well(int status, bool hit, const char *errors)
{
	if (status < 0)
		return false;
	if (!hit)
		return status == 0;
	switch (kills.victim) {
	case CORE:
		return status == 128 + SIGKILL || (status == 0 && console_says("done"));
	case SPAWNER:
		if (status == 0)
			return console_says("done");
		return (status == 1 || (status == 2 && !console_says("ready"))) && *errors;
	default:
		return status >= 0 && status <= 2;
	}
}

/* Whether that killed it; the end of one that is waited for can be its own. */
static bool is_hit(pid_t victim, int status)
{
	return victim && (kills.victim != CORE || status == 128 + SIGKILL);
}

/* *ret_hit: whether somebody was killed, and not after the end. */
static bool run_round(unsigned long round, bool *ret_hit)
{
	uint64_t delay_ns = draw() % kills.length_ns, names = names_in(kills.folder);
	struct timespec delay = { .tv_sec = (time_t)(delay_ns / NS_PER_S), .tv_nsec = (long)(delay_ns % NS_PER_S) };
	char errors[TEXT_MAX];
	pid_t core = start(), victim = 0;
	size_t left;
	int status;
	bool good;

	if (kills.victim != NOBODY) {
		nanosleep(&delay, NULL);
		victim = find_victim(core);
		if (victim)
			kill(victim, SIGKILL);
	}
	status = family_wait(core, LIMIT_MS);
	if (status < 0)
		kill(core, SIGKILL);
	/* After a kill they notice; after an end of its own the command has waited for them. */
	left = family_left(victim || status < 0 ? LIMIT_MS : 0);
	read_errors(errors);
	good = ends_well(status, victim != 0, errors);
	*ret_hit = is_hit(victim, status);
	if (*ret_hit)
		kills.when[console_says("done") ? 2 : console_says("ready") ? 1 : 0]++;
	/* A console that a killed one has not made yet is no difference. */
	if (names != names_in(kills.folder)) {
		close(open(kills.console, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		if (names != names_in(kills.folder)) {
			fprintf(stderr, "round %lu: other names in %s\n", round, kills.folder);
			good = false;
		}
	}
	if (!good || left)
		fprintf(stderr, "round %lu: after %llu us: status %d, %zu processes left; ready %d, done %d; %s\n",
			round, (unsigned long long)delay_ns / 1000, status, left, console_says("ready"),
			console_says("done"), errors);
	return good && !left;
}

/* The time that a run takes on this machine now. */
static bool measure(void)
{
	uint64_t since_ns = now_ns();
	pid_t core = start();
	int status = family_wait(core, LIMIT_MS);
	char errors[TEXT_MAX];

	kills.length_ns = now_ns() - since_ns;
	if (status == 0 && console_says("done") && !family_left(0))
		return true;
	read_errors(errors);
	fprintf(stderr, "it ends with status %d by itself: %s\n", status, errors);
	return false;
}

/* The rounds; how many of them were not as they should be, or -1: there could not be as many kills. */
static long run_rounds(void)
{
	unsigned long round = 0;
	long failed = 0;
	bool hit = false;

	while (kills.hits < kills.wanted) {
		if (round == ROUNDS_A_KILL * kills.wanted) {
			fprintf(stderr, "in %lu rounds it was found %lu times only\n", round, kills.hits);
			return -1;
		}
		/* After a miss, too: it was probably over already. */
		if ((round % MEASURE_EVERY == 0 || !hit) && !measure())
			return -1;
		failed += !run_round(round++, &hit);
		hit |= kills.victim == NOBODY;
		kills.hits += hit;
	}
	if (kills.victim == NOBODY)
		printf("# nobody: %lu rounds of %llu us; %ld failed\n", round,
		       (unsigned long long)kills.length_ns / 1000, failed);
	else
		printf(
		    "# %s: killed %lu times in %lu rounds of %llu us, %lu before it was ready and %lu after it was done; %ld failed\n",
		    victims[kills.victim], kills.hits, round, (unsigned long long)kills.length_ns / 1000, kills.when[0],
		    kills.when[2], failed);
	return failed;
}

int main(int argc, char **argv)
{
	struct timespec now;

	if (argc < 7) {
		fprintf(stderr, "usage: kills VICTIM KILLS SEED FOLDER CONSOLE COMMAND [ARGUMENT]...\n");
		return 2;
	}
	while (kills.victim < VICTIMS && strcmp(argv[1], victims[kills.victim]) != 0)
		kills.victim++;
	kills.wanted = strtoul(argv[2], NULL, 10);
	kills.seed = strtoull(argv[3], NULL, 0);
	kills.folder = argv[4];
	kills.console = argv[5];
	kills.command = argv + 6;
	kills.error_fd = memfd_create("errors", MFD_CLOEXEC);
	if (kills.victim == VICTIMS || !kills.wanted || kills.wanted > KILLS_MAX || kills.error_fd < 0)
		return 2;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!kills.seed)
		kills.seed = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	printf("# seed %llu\n", (unsigned long long)kills.seed);
	family_begin();
	return run_rounds() != 0;
}
