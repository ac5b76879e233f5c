/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io engines against a model: thousands of random requests on one file, many at once, each on a part of its own so that
 * order cannot matter. What is read must be what the model holds, and so must the file in the end.
 */
#include "tests/unit/io_fixture.h"

#include <inttypes.h>

#define LANES      32u
#define LANE_BYTES (32 * KIB)
#define FILE_BYTES (LANES * LANE_BYTES)
#define STEPS      6000u
#define SEGMENTS   6u

struct lane {
	struct io_request request;
	struct iovec iov[SEGMENTS];
	uint32_t at;    /* in the lane */
	uint32_t bytes; /* of the transfer */
	uint8_t *buf;   /* LANE_BYTES */
};

struct run {
	struct io_user *user;
	struct io_engine *engine;
	uint8_t *model;
	uint32_t align;
	uint64_t seed;
	unsigned int left;
	unsigned int counts[IO_OP_COUNT];
	struct lane lanes[LANES];
};

static uint32_t below(struct run *run, uint32_t limit)
{
	return (uint32_t)(next_random(&run->seed) % limit);
}

static uint64_t lane_offset(const struct run *run, const struct lane *lane)
{
	return (uint64_t)(lane - run->lanes) * LANE_BYTES;
}

/* Cuts the transfer into segments, empty ones among them if nothing has to be aligned. */
static void cut(struct run *run, struct lane *lane)
{
	uint32_t done = 0;

	lane->request.iov = lane->iov;
	lane->request.iov_count = 0;
	while (done < lane->bytes || !lane->request.iov_count) {
		uint32_t left = (lane->bytes - done) / run->align;
		uint32_t bytes = lane->request.iov_count == SEGMENTS - 1 ? left : below(run, left + 1);

		if (!bytes && run->align > 1)
			bytes = left;
		lane->iov[lane->request.iov_count++] =
		    (struct iovec){ .iov_base = lane->buf + done, .iov_len = (size_t)bytes * run->align };
		done += bytes * run->align;
	}
}

/* The next request of a lane, and what the model will hold after it. */
static void next(struct run *run, struct lane *lane)
{
	uint8_t *model;

	memset(&lane->request, 0, sizeof(lane->request));
	lane->at = below(run, LANE_BYTES / run->align) * run->align;
	lane->bytes = (1 + below(run, (LANE_BYTES - lane->at) / run->align)) * run->align;
	lane->request.op = (uint8_t)below(run, IO_OP_COUNT);
	lane->request.offset = lane_offset(run, lane) + lane->at;
	run->counts[lane->request.op]++;
	model = run->model + lane->request.offset;
	switch ((enum io_op)lane->request.op) {
	case IO_READV:
		memset(lane->buf, 0xa5, LANE_BYTES);
		cut(run, lane);
		break;
	case IO_WRITEV:
		fill_random(lane->buf, lane->bytes, &run->seed);
		memcpy(model, lane->buf, lane->bytes);
		cut(run, lane);
		break;
	case IO_DISCARD:
	case IO_WRITE_ZEROES:
		lane->request.bytes = lane->bytes;
		if (lane->request.op == IO_WRITE_ZEROES)
			lane->request.flags = below(run, 2) ? IO_MAY_UNMAP : 0;
		memset(model, 0, lane->bytes);
		break;
	case IO_FLUSH:
	case IO_OP_COUNT:
		break;
	}
	MUST(io_engine_queue(run->engine, &lane->request) == 0);
}

static void on_done(void *ctx, struct io_request *request)
{
	struct run *run = ctx;
	struct lane *lane = (struct lane *)(void *)((uint8_t *)request - offsetof(struct lane, request));
	bool transfer = request->op == IO_READV || request->op == IO_WRITEV;

	if (request->result != (transfer ? (int64_t)lane->bytes : 0)) {
		fprintf(stderr, "op %u at %" PRIu64 ": %" PRId64 "\n", request->op, request->offset, request->result);
		abort();
	}
	if (request->op == IO_READV)
		MUST(memcmp(lane->buf, run->model + request->offset, lane->bytes) == 0);
	if (run->left) {
		run->left--;
		next(run, lane);
	}
}

static void run_model(struct io_user *user, uint32_t align, uint64_t seed)
{
	struct run *run = calloc(1, sizeof(*run));
	uint8_t *bufs = mmap(NULL, 2 * FILE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct io_engine_spec spec = {
		.kind = user->kind, .fds = &user->fd, .fd_count = 1, .depth = LANES, .done = on_done, .ctx = run
	};
	struct err err;

	assert_true(run && bufs != MAP_FAILED);
	*run = (struct run){
		.user = user, .model = bufs + FILE_BYTES, .align = align, .seed = seed, .left = STEPS - LANES
	};
	assert_int_equal(ftruncate(user->fd, FILE_BYTES), 0);
	assert_int_equal(io_engine_new(&spec, &run->engine, &err), 0);
	for (uint32_t i = 0; i < LANES; i++) {
		run->lanes[i].buf = bufs + i * LANE_BYTES;
		next(run, &run->lanes[i]);
	}
	while (io_engine_in_flight(run->engine)) {
		struct pollfd poll_fd = { .fd = io_engine_fd(run->engine), .events = POLLIN };

		if (!io_engine_submit(run->engine)) {
			int r = poll(&poll_fd, 1, PATIENCE_S * 1000);

			MUST(r > 0 || (r < 0 && errno == EINTR));
		}
		io_engine_reap(run->engine);
	}
	io_engine_free(run->engine);
	for (int op = 0; op < IO_OP_COUNT; op++)
		assert_true(run->counts[op] > STEPS / 10);
	assert_int_equal(pread(user->fd, bufs, FILE_BYTES, 0), FILE_BYTES);
	assert_memory_equal(bufs, run->model, FILE_BYTES);
	munmap(bufs, 2 * FILE_BYTES);
	free(run);
}

static void random_requests(void **state)
{
	run_model(*state, 1, 2024);
}

/* On a file in memory, where zeroes are written plainly. */
static void random_requests_in_memory(void **state)
{
	struct io_user *user = *state;

	io_engine_free(user->engine);
	user->engine = NULL;
	close(user->fd);
	user->fd = memfd_create("model", MFD_CLOEXEC);
	run_model(user, 1, 2025);
}

static void random_requests_direct(void **state)
{
	struct io_user *user = *state;

	if (fcntl(user->fd, F_SETFL, fcntl(user->fd, F_GETFL) | O_DIRECT) < 0) {
		assert_int_equal(errno, EINVAL);
		skip();
	}
	run_model(user, 4096, 2026);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_KIND(random_requests),
		EACH_KIND(random_requests_in_memory),
		EACH_KIND(random_requests_direct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
