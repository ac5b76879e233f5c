/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vsock plugin between a model of a guest and programs of the host, which all do at random what they may do: connect, send, take,
 * wait, end a half or the whole. Every byte has to arrive, once and in order, whatever the sizes of packets and buffers; the device
 * keeps to the guest's credit, and in the end nothing is left. Each seed is a run that can be repeated.
 */
#include "tests/plugins/vsock_fixture.h"

#define CONNS     64u  /* at a time */
#define TOTAL     160u /* in a run */
#define BYTES_MAX 90000u

/* Who ends it, and how. */
enum style { HALVES, GUEST_CLOSES, HOST_CLOSES, STYLES };

enum stage { UNUSED, ASKED, OPEN, OVER };

struct side {
	size_t total, sent, got;
	bool ended; /* the sender has said so */
	bool known; /* and the receiver has heard it */
};

struct stream {
	enum stage stage;
	enum style style;
	bool by_guest;
	uint32_t number; /* its bytes are its own */
	struct peer peer;
	int fd;
	struct side in, out;       /* to the guest, and from it */
	size_t unread;             /* the guest's program has not taken them yet */
	uint32_t alloc, forwarded; /* what the device has said */
	bool closed;               /* the guest has said SHUTDOWN of both */
	char heard[32];            /* by the host's program, before its data: "OK ...\n" */
	size_t heard_bytes;
};

struct model {
	struct vsock_test *test;
	uint64_t random;
	uint32_t begun, refused;
	struct stream streams[CONNS];
};

static uint32_t draw(struct model *model, uint32_t below)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return (uint32_t)(model->random >> 20) % below;
}

/* Mostly small, sometimes as large as can be. */
static size_t draw_size(struct model *model, size_t most)
{
	size_t size = draw(model, 4) ? draw(model, 300) : draw(model, BYTES_MAX);

	return size < most ? size : most;
}

static uint8_t byte_of(const struct stream *stream, bool in, size_t at)
{
	return pattern(at + stream->number * 1009u + (in ? 77u : 0));
}

/* ---- the guest ---- */

static void guest_sends(struct model *model, struct stream *stream, uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr header = make_header(&stream->peer, op, 0, flags);

	send_raw(model->test, &header, NULL, 0);
}

static void guest_writes(struct model *model, struct stream *stream)
{
	uint8_t data[BYTES_MAX];
	uint32_t room = stream->alloc - ((uint32_t)stream->out.sent - stream->forwarded);
	size_t bytes = draw_size(model, stream->out.total - stream->out.sent);
	struct virtio_vsock_hdr header = { 0 };

	if (bytes > room)
		bytes = room;
	if (!bytes)
		return;
	for (size_t i = 0; i < bytes; i++)
		data[i] = byte_of(stream, false, stream->out.sent + i);
	stream->out.sent += bytes;
	header = make_header(&stream->peer, VIRTIO_VSOCK_OP_RW, (uint32_t)bytes, 0);
	send_raw(model->test, &header, data, bytes);
}

/* Its program takes some, and mostly it tells. */
static void guest_reads(struct model *model, struct stream *stream)
{
	size_t bytes = draw_size(model, stream->unread);

	stream->unread -= bytes;
	stream->peer.fwd_cnt += (uint32_t)bytes;
	if (draw(model, 3))
		guest_sends(model, stream, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
}

static void guest_ends(struct model *model, struct stream *stream)
{
	if (stream->out.sent < stream->out.total || stream->closed)
		return;
	if (stream->style == GUEST_CLOSES && stream->in.got == stream->in.total &&
	    stream->in.sent == stream->in.total) {
		stream->closed = stream->out.ended = true;
		guest_sends(model, stream, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	} else if (stream->style == HALVES && !stream->out.ended) {
		stream->out.ended = true;
		guest_sends(model, stream, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
	}
}

static void guest_gets_data(struct model *model, struct stream *stream, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(model->test->data[i], byte_of(stream, true, stream->in.got + i));
	stream->in.got += bytes;
	stream->unread += bytes;
	assert_true(stream->in.got <= stream->in.sent);
	/* The guest never gets more than it has room for. */
	assert_true(stream->unread <= stream->peer.buf_alloc);
}

static void guest_gets(struct model *model, const struct virtio_vsock_hdr *header)
{
	struct stream *stream = NULL;

	for (size_t i = 0; i < CONNS && !stream; i++)
		if (model->streams[i].stage != UNUSED && model->streams[i].peer.guest_port == header->dst_port)
			stream = &model->streams[i];
	assert_non_null(stream);
	if (header->op == VIRTIO_VSOCK_OP_REQUEST)
		stream->peer.host_port = header->src_port;
	assert_int_equal(stream->peer.host_port, header->src_port);
	stream->alloc = header->buf_alloc;
	stream->forwarded = header->fwd_cnt;
	switch (header->op) {
	case VIRTIO_VSOCK_OP_REQUEST:
		assert_int_equal(stream->stage, ASKED);
		stream->stage = OPEN;
		guest_sends(model, stream, VIRTIO_VSOCK_OP_RESPONSE, 0);
		break;
	case VIRTIO_VSOCK_OP_RESPONSE:
		assert_int_equal(stream->stage, ASKED);
		stream->stage = OPEN;
		break;
	case VIRTIO_VSOCK_OP_RW:
		assert_int_equal(stream->stage, OPEN);
		assert_false(stream->in.known);
		guest_gets_data(model, stream, header->len);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		if (header->flags & VIRTIO_VSOCK_SHUTDOWN_SEND) {
			/* Everything comes before the end. */
			assert_true(stream->in.ended);
			assert_int_equal(stream->in.got, stream->in.total);
			stream->in.known = true;
		}
		if (header->flags == 3) {
			stream->stage = OVER;
			guest_sends(model, stream, VIRTIO_VSOCK_OP_RST, 0);
		}
		break;
	case VIRTIO_VSOCK_OP_RST:
		assert_true(stream->closed);
		stream->stage = OVER;
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		guest_sends(model, stream, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
		break;
	default:
		assert_int_equal(header->op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		break;
	}
}

/* ---- programs of the host ---- */

static void host_writes(struct model *model, struct stream *stream)
{
	uint8_t data[BYTES_MAX];
	size_t bytes = draw_size(model, stream->in.total - stream->in.sent);
	ssize_t n;

	for (size_t i = 0; i < bytes; i++)
		data[i] = byte_of(stream, true, stream->in.sent + i);
	n = send(stream->fd, data, bytes, MSG_NOSIGNAL);
	assert_true(n >= 0 || errno == EAGAIN);
	stream->in.sent += n > 0 ? (size_t)n : 0;
}

/* The answer to the line, byte by byte: what follows is data. */
static bool host_has_ok(struct stream *stream)
{
	unsigned int port;

	while (!stream->by_guest && !memchr(stream->heard, '\n', stream->heard_bytes)) {
		assert_true(stream->heard_bytes < sizeof(stream->heard));
		if (recv(stream->fd, stream->heard + stream->heard_bytes, 1, 0) != 1)
			return false;
		stream->heard_bytes++;
		if (stream->heard[stream->heard_bytes - 1] == '\n') {
			assert_int_equal(sscanf(stream->heard, "OK %u\n", &port), 1);
			assert_int_equal(port, stream->peer.host_port);
		}
	}
	return true;
}

static void host_reads(struct model *model, struct stream *stream)
{
	uint8_t data[BYTES_MAX];
	ssize_t n;

	if (!host_has_ok(stream))
		return;
	n = recv(stream->fd, data, 1 + draw_size(model, sizeof(data) - 1), 0);
	assert_true(n >= 0 || errno == EAGAIN);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(data[i], byte_of(stream, false, stream->out.got + (size_t)i));
	stream->out.got += n > 0 ? (size_t)n : 0;
	if (n)
		return;
	assert_true(stream->out.ended);
	assert_int_equal(stream->out.got, stream->out.total);
	stream->out.known = true;
}

static void host_ends(struct stream *stream)
{
	if (stream->in.sent < stream->in.total || stream->in.ended)
		return;
	if (stream->style == HOST_CLOSES && stream->out.got == stream->out.total) {
		stream->in.ended = true;
		close(stream->fd);
		stream->fd = -1;
	} else if (stream->style == HALVES) {
		stream->in.ended = true;
		assert_int_equal(shutdown(stream->fd, SHUT_WR), 0);
	}
}

/* ---- what happens ---- */

static void begin(struct model *model, struct stream *stream)
{
	char line[32];
	size_t alloc;

	if (model->begun == TOTAL)
		return;
	*stream = (struct stream){
		.stage = ASKED,
		.style = (enum style)draw(model, STYLES),
		.by_guest = draw(model, 2),
		.number = model->begun,
		.fd = -1,
	};
	alloc = draw(model, 2) ? BUF_ALLOC : 1 + draw(model, 5000);
	/* Not more than the guest has to be asked for a few times. */
	stream->in.total = draw_size(model, BYTES_MAX < 20 * alloc ? BYTES_MAX : 20 * alloc);
	stream->out.total = draw_size(model, BYTES_MAX);
	stream->peer = (struct peer){
		/* Another had them a while ago. */
		.guest_port = (uint32_t)(stream - model->streams),
		.host_port = (uint32_t)(stream - model->streams),
		.buf_alloc = (uint32_t)alloc,
	};
	model->begun++;
	if (stream->by_guest) {
		guest_sends(model, stream, VIRTIO_VSOCK_OP_REQUEST, 0);
		return;
	}
	stream->fd = dial(model->test);
	snprintf(line, sizeof(line), "cOnnEct %" PRIu32 "\n", stream->peer.guest_port);
	say(stream->fd, line);
	if (draw(model, 2))
		host_writes(model, stream);
}

/* The host's other program is there, or not yet. */
static void answer(struct model *model)
{
	const char *name;
	uint32_t index, number;
	const int small = 1;
	int fds[2];

	if (fakehost_connect_look(model->test->dev, &name, &index, &number) < 0)
		return;
	if (!draw(model, 8)) {
		assert_int_equal(fakehost_connect_answer(model->test->dev, -EAGAIN), 0);
		return;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_true(number < CONNS);
	assert_int_equal(model->streams[number].stage, ASKED);
	assert_true(model->streams[number].by_guest && model->streams[number].fd < 0);
	model->streams[number].fd = fds[1];
	/* Some take little at a time, so that the rest has to be kept. */
	if (draw(model, 2))
		assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(fakehost_connect_answer(model->test->dev, fds[0]), 0);
}

static void retire(struct stream *stream)
{
	if (stream->stage != OVER)
		return;
	if (stream->fd >= 0 && !stream->out.known)
		return;
	assert_int_equal(stream->in.got, stream->in.total);
	assert_int_equal(stream->out.got, stream->out.total);
	if (stream->fd >= 0)
		close(stream->fd);
	stream->stage = UNUSED;
}

static void act(struct model *model, struct stream *stream)
{
	switch (draw(model, 8)) {
	case 0:
	case 1:
		guest_writes(model, stream);
		break;
	case 2:
		guest_reads(model, stream);
		break;
	case 3:
		guest_ends(model, stream);
		break;
	case 4:
		if (stream->fd >= 0)
			host_ends(stream);
		break;
	case 5:
		if (stream->fd >= 0 && stream->in.sent < stream->in.total)
			host_writes(model, stream);
		break;
	default:
		if (stream->fd >= 0)
			host_reads(model, stream);
		break;
	}
}

static bool step(struct model *model)
{
	struct vsock_test *test = model->test;
	uint32_t at = draw(model, CONNS);
	struct stream *stream = &model->streams[at];
	struct virtio_vsock_hdr header = { 0 };
	bool any = model->begun < TOTAL;

	/* Towards the end only some are left. */
	for (uint32_t i = 1; i < CONNS && !any && stream->stage == UNUSED; i++)
		stream = &model->streams[(at + i) % CONNS];
	if (stream->stage == UNUSED)
		begin(model, stream);
	else if (stream->stage == OPEN)
		act(model, stream);
	else if (stream->stage == OVER && stream->fd >= 0)
		host_reads(model, stream);
	retire(stream);
	answer(model);
	if (fakehost_chains_left(test->dev, RX) < 100 && !draw(model, 3))
		give(test, 1 + draw(model, 40), draw(model, 3) ? 4096 : 1 + draw(model, 2000));
	if (!draw(model, 10))
		fakehost_advance(test->host, draw(model, 10) * MS);
	settle(test);
	while (next_packet(test, &header))
		guest_gets(model, &header);
	for (size_t i = 0; i < CONNS; i++)
		any |= model->streams[i].stage != UNUSED;
	return any;
}

static void run(struct vsock_test *test, uint64_t seed)
{
	struct model *model = calloc(1, sizeof(*model));
	uint32_t steps = 0;

	assert_non_null(model);
	model->test = test;
	model->random = seed;
	test->given = test->seen = 0;
	vsock_run(test);
	while (step(model))
		assert_true(++steps < 400000);
	settle(test);
	assert_int_equal(metric(test, "connections_open"), 0);
	assert_int_equal(metric(test, "connections_made"), TOTAL);
	assert_int_equal(metric(test, "connections_refused"), 0);
	assert_int_equal(metric(test, "dropped_packets"), 0);
	assert_int_equal(fakehost_log_count(test->host, ""), 0);
	fakehost_destroy(test->dev);
	free(model);
}

static void every_byte_arrives_once(void **state)
{
	static const uint64_t seeds[] = { 1, 0x9e3779b97f4a7c15, 42, 0xdeadbeef, 7777777, 123456789123 };

	for (size_t i = 0; i < COUNT_OF(seeds); i++)
		run(*state, seeds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(every_byte_arrives_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
