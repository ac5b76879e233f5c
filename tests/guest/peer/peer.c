/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What talks over vsock in tests, on both sides: in the guest with AF_VSOCK, on the host with the Unix sockets of virtio-vsock, or
 * with AF_VSOCK where something else has the guest's other end.
 *
 *   vsock-peer connect ADDRESS [OPTION]...   makes connections
 *   vsock-peer accept ADDRESS [OPTION]...    says "listening", and takes connections
 *   vsock-peer cid                           prints this machine's CID
 *
 *   --count N        so many (1), then it ends
 *   --at-once N      connect: so many at a time (all)
 *   --bytes N        connect: up to so many bytes each way, at random (1000)
 *   --exactly N      connect: so many bytes each way
 *   --to-acceptor N, --to-connector N   the same, one way
 *   --seed N         connect: of all that is random
 *   --order first|last|random    connect: who sends first, and half closes then: this side, the other one, or any of the three ways
 *   --cut connector|acceptor     connect: who closes in the midst of it
 *   --torn           connect: it ends in the midst of it, and neither side is to blame
 *   --empty          connect: close at once
 *   --eager          connect: send the first bytes together with the CONNECT line
 *   --stall FILE     read no data until FILE is there
 *   --refused        connect: each of them has to be refused
 *   --limit SECONDS  (100)
 *
 * It ends with the line "peer: complete=N cut=N empty=N refused=N bad=N sent=BYTES received=BYTES" and status 0 if no connection went
 * another way than it should. Some things are said once: "N open", when all N are, at a time; "under way", when besides data has gone
 * and come on each of them; and "blocked sent=BYTES", if for a second none has taken any of what is there to be sent. One
 * thread.
 */
#include "data.h"
#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define USAGE          2
#define COUNT_MAX      100000
#define STEP_MS        20
#define BLOCKED_MS     1000
#define COMPLAINTS_MAX 10

struct options {
	struct address address;
	bool accepts, empty, eager, refused, any_order;
	uint64_t count, at_once, limit_s;
	uint64_t most[2];
	bool exactly[2];
	uint64_t random;
	uint32_t flags;
	const char *stall;
};

struct peer {
	struct options options;
	int listener; /* or -1 */
	size_t begun, live_count;
	size_t *live; /* indexes of those that are not over */
	struct exchange *all;
	struct pollfd *fds; /* of the live ones, in their order, and of the listener */
	uint64_t results[RESULTS];
	uint64_t sent, received; /* of those that are over */
	uint64_t progress_ms, progress;
	bool has_told_open, has_told_way, has_told_blocked;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

__attribute__((noreturn)) static void fail(const char *what, int error)
{
	printf("peer: %s: %s\n", what, strerror(error));
	exit(1);
}

/* ---- connections ---- */

static struct exchange *begin(struct peer *peer)
{
	struct exchange *exchange = &peer->all[peer->begun];

	peer->live[peer->live_count++] = peer->begun++;
	exchange->random = data_next(&peer->options.random);
	exchange->stalled = peer->options.stall != NULL;
	exchange->empty = peer->options.empty;
	exchange->eager = peer->options.eager;
	return exchange;
}

static void make_plan(struct options *options, struct plan *ret)
{
	static const uint32_t orders[] = { 0, PLAN_CONNECTOR_FIRST, PLAN_ACCEPTOR_FIRST };

	*ret = (struct plan){ .flags = options->flags, .seed = data_next(&options->random) };
	if (options->any_order)
		ret->flags |= orders[data_next(&options->random) % 3];
	for (size_t i = 0; i < 2; i++)
		ret->bytes[i] = options->exactly[i] ? options->most[i] : data_size(&options->random, options->most[i]);
}

/* As many as may be there at a time. */
static void connect_more(struct peer *peer)
{
	struct options *options = &peer->options;

	while (peer->begun < options->count && peer->live_count < options->at_once) {
		int fd = address_connect(&options->address);
		struct plan plan;

		if (fd == -EAGAIN)
			return;
		if (fd < 0)
			fail("connect", -fd);
		make_plan(options, &plan);
		exchange_connects(begin(peer), fd, &options->address, &plan);
	}
}

static void accept_more(struct peer *peer)
{
	while (peer->begun < peer->options.count) {
		int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			fail("accept", errno);
		exchange_accepted(begin(peer), fd);
	}
}

static bool is_right(const struct peer *peer, const struct exchange *exchange)
{
	if (exchange->result == RESULT_REFUSED)
		return peer->options.refused;
	return !peer->options.refused && exchange->result != RESULT_BAD;
}

/* Counts those that are over, and takes them from the list. */
static void sort_out(struct peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < peer->live_count; i++) {
		const struct exchange *exchange = &peer->all[peer->live[i]];

		if (exchange->state != EXCHANGE_OVER) {
			peer->live[kept++] = peer->live[i];
			continue;
		}
		peer->sent += exchange->sent;
		peer->received += exchange->received;
		if (is_right(peer, exchange)) {
			peer->results[exchange->result]++;
		} else if (peer->results[RESULT_BAD]++ < COMPLAINTS_MAX) {
			printf("peer: connection %zu: %s\n", peer->live[i], exchange->why);
		}
	}
	peer->live_count = kept;
}

/* ---- what is told on the way ---- */

static void look_for_stall(struct peer *peer)
{
	if (!peer->options.stall || access(peer->options.stall, F_OK) < 0)
		return;
	peer->options.stall = NULL;
	for (size_t i = 0; i < peer->live_count; i++)
		peer->all[peer->live[i]].stalled = false;
	puts("going on");
}

static void look_for_blocked(struct peer *peer)
{
	uint64_t sent = peer->sent;
	bool wants = false;

	for (size_t i = 0; i < peer->live_count; i++) {
		const struct exchange *exchange = &peer->all[peer->live[i]];

		sent += exchange->sent;
		wants |= exchange->state == EXCHANGE_OPEN && exchange_wants(exchange) & POLLOUT;
	}
	if (sent != peer->progress || !wants) {
		peer->progress = sent;
		peer->progress_ms = now_ms();
	} else if (!peer->has_told_blocked && now_ms() - peer->progress_ms > BLOCKED_MS) {
		peer->has_told_blocked = true;
		printf("blocked sent=%" PRIu64 "\n", sent);
	}
}

static void look_for_way(struct peer *peer)
{
	bool open = peer->live_count == peer->options.count, way = open;

	for (size_t i = 0; i < peer->live_count; i++) {
		const struct exchange *exchange = &peer->all[peer->live[i]];

		open &= exchange->state == EXCHANGE_OPEN;
		way &= exchange->sent && exchange->received;
	}
	if (open && !peer->has_told_open) {
		peer->has_told_open = true;
		printf("%zu open\n", peer->live_count);
	}
	if (way && !peer->has_told_way) {
		peer->has_told_way = true;
		puts("under way");
	}
}

static void look_at_limit(const struct peer *peer, uint64_t start_ms)
{
	char text[128];

	if (now_ms() - start_ms < peer->options.limit_s * 1000)
		return;
	printf("peer: not over after %" PRIu64 " s: %zu of %" PRIu64 " begun, %zu not over\n", peer->options.limit_s,
	       peer->begun, peer->options.count, peer->live_count);
	for (size_t i = 0; i < peer->live_count && i < COMPLAINTS_MAX; i++) {
		exchange_describe(&peer->all[peer->live[i]], text, sizeof(text));
		printf("peer: connection %zu: %s\n", peer->live[i], text);
	}
	exit(1);
}

/* ---- the loop ---- */

static void step(struct peer *peer)
{
	size_t live_count = peer->live_count;

	for (size_t i = 0; i < live_count; i++) {
		const struct exchange *exchange = &peer->all[peer->live[i]];
		short events = exchange_wants(exchange);

		peer->fds[i] = (struct pollfd){ .fd = events ? exchange->fd : -1, .events = events };
	}
	peer->fds[live_count] = (struct pollfd){
		.fd = peer->begun < peer->options.count ? peer->listener : -1,
		.events = POLLIN,
	};
	if (poll(peer->fds, live_count + 1, STEP_MS) < 0 && errno != EINTR)
		fail("poll", errno);
	for (size_t i = 0; i < live_count; i++)
		if (peer->fds[i].revents)
			exchange_step(&peer->all[peer->live[i]], peer->fds[i].revents);
	if (peer->fds[live_count].revents)
		accept_more(peer);
	sort_out(peer);
}

static int run(struct peer *peer)
{
	uint64_t start_ms = now_ms();

	peer->all = calloc(peer->options.count, sizeof(*peer->all));
	peer->live = calloc(peer->options.count, sizeof(*peer->live));
	peer->fds = calloc(peer->options.count + 1, sizeof(*peer->fds));
	if (!peer->all || !peer->live || !peer->fds)
		fail("memory", ENOMEM);
	peer->listener = -1;
	if (peer->options.accepts) {
		peer->listener = address_listen(&peer->options.address);
		if (peer->listener < 0)
			fail("listen", -peer->listener);
		puts("listening");
	}
	while (peer->begun < peer->options.count || peer->live_count) {
		if (!peer->options.accepts)
			connect_more(peer);
		step(peer);
		look_for_stall(peer);
		look_for_blocked(peer);
		look_for_way(peer);
		look_at_limit(peer, start_ms);
	}
	if (peer->options.accepts)
		address_unlisten(&peer->options.address);
	printf("peer: complete=%" PRIu64 " cut=%" PRIu64 " empty=%" PRIu64 " refused=%" PRIu64 " bad=%" PRIu64
	       " sent=%" PRIu64 " received=%" PRIu64 "\n",
	       peer->results[RESULT_COMPLETE], peer->results[RESULT_CUT], peer->results[RESULT_EMPTY],
	       peer->results[RESULT_REFUSED], peer->results[RESULT_BAD], peer->sent, peer->received);
	return peer->results[RESULT_BAD] ? 1 : 0;
}

static int print_cid(void)
{
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
	unsigned int cid;

	if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
		fail("/dev/vsock", errno);
	printf("cid %u\n", cid);
	return 0;
}

/* ---- options ---- */

static bool parse_number(const char *text, uint64_t most, uint64_t *ret)
{
	char *rest;

	errno = 0;
	*ret = strtoull(text, &rest, 10);
	return *text >= '0' && *text <= '9' && !*rest && !errno && *ret <= most;
}

static bool parse_word(struct options *options, const char *name, const char *value)
{
	if (!strcmp(name, "--stall")) {
		options->stall = value;
		return true;
	}
	if (!strcmp(name, "--order")) {
		options->any_order = !strcmp(value, "random");
		if (!strcmp(value, "first"))
			options->flags |= PLAN_CONNECTOR_FIRST;
		else if (!strcmp(value, "last"))
			options->flags |= PLAN_ACCEPTOR_FIRST;
		return options->any_order || options->flags & (PLAN_CONNECTOR_FIRST | PLAN_ACCEPTOR_FIRST);
	}
	if (strcmp(name, "--cut") != 0)
		return false;
	if (!strcmp(value, "connector"))
		options->flags |= PLAN_CONNECTOR_CUTS;
	else if (!strcmp(value, "acceptor"))
		options->flags |= PLAN_ACCEPTOR_CUTS;
	return options->flags & (PLAN_CONNECTOR_CUTS | PLAN_ACCEPTOR_CUTS);
}

static bool parse_option(struct options *options, const char *name, const char *value)
{
	uint64_t number;

	if (parse_word(options, name, value))
		return true;
	if (!parse_number(value, UINT64_MAX, &number))
		return false;
	if (!strcmp(name, "--count")) {
		options->count = number;
	} else if (!strcmp(name, "--at-once")) {
		options->at_once = number;
	} else if (!strcmp(name, "--seed")) {
		options->random = number;
	} else if (!strcmp(name, "--limit")) {
		options->limit_s = number;
	} else if (!strcmp(name, "--bytes") || !strcmp(name, "--exactly")) {
		options->most[0] = options->most[1] = number;
		options->exactly[0] = options->exactly[1] = !strcmp(name, "--exactly");
	} else if (!strcmp(name, "--to-acceptor") || !strcmp(name, "--to-connector")) {
		size_t which = !strcmp(name, "--to-acceptor") ? 0 : 1;

		options->most[which] = number;
		options->exactly[which] = true;
	} else {
		return false;
	}
	return options->count <= COUNT_MAX && options->limit_s <= UINT32_MAX;
}

static bool parse_flag(struct options *options, const char *name)
{
	if (!strcmp(name, "--empty"))
		options->empty = true;
	else if (!strcmp(name, "--eager"))
		options->eager = true;
	else if (!strcmp(name, "--refused"))
		options->refused = true;
	else if (!strcmp(name, "--torn"))
		options->flags |= PLAN_TORN;
	else
		return false;
	return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
	if (argc < 3 || !address_parse(argv[2], &options->address))
		return false;
	options->accepts = !strcmp(argv[1], "accept");
	if (!options->accepts && strcmp(argv[1], "connect") != 0)
		return false;
	for (int i = 3; i < argc; i++) {
		if (parse_flag(options, argv[i]))
			continue;
		if (i + 1 == argc || !parse_option(options, argv[i], argv[i + 1]))
			return false;
		i++;
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct peer peer = {
		.options = { .count = 1, .at_once = COUNT_MAX, .limit_s = 100, .most = { 1000, 1000 } },
	};
	struct rlimit files;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && !strcmp(argv[1], "cid"))
		return print_cid();
	if (!parse(argc, argv, &peer.options)) {
		fputs("usage: vsock-peer connect|accept ADDRESS [OPTION]... | cid\n", stderr);
		return USAGE;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return run(&peer);
}
