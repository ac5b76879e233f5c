/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serial ports as a wire: the real plugin in the real runtime, two ports at once, one on a pseudo terminal and one on a
 * socket, opened as `run` opens them. On the guest's side of each is a driver that does what Linux's 8250 does: it sleeps
 * until an interrupt comes and never looks without one, so an interrupt that is lost ends the test. On the host's side two
 * threads write and read. In the middle of it the readers stop, until the devices are full, and then go on.
 *
 * BP_WIRE_BYTES is how much goes each way through each port; BP_WIRE_PAUSE_S how long the readers stop once the devices are
 * full.
 */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "core/device/stream.h"
#include "core/placement/open.h"
#include "plugins/serial/uart.h"
#include "tests/unit/support.h"

#include <backplane/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BYTES_DEFAULT (256u << 10)
#define CHUNK         3000u
#define PORTS         2
#define STUCK_NS      (60 * NS_PER_S) /* without a byte in any direction */
/* What two ports may grow by, once they run and are full. A sanitizer's notes on memory grow for a while. */
#ifdef BP_SANITIZED
#define GROWTH_KIB 16384u
#else
#define GROWTH_KIB 1024u
#endif

/* Linux 6.1, drivers/tty/serial/8250 */
#define PASS_LIMIT 512 /* 8250_core.c: then the handler gives up until the next interrupt */
#define RX_PASS    256 /* serial8250_rx_chars() */
#define IER_OPEN   (UART_IER_RDI | UART_IER_RLSI)
#define FCR_OPEN   (UART_FCR_ENABLE | 0x80u)
#define MCR_OPEN   (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2)

extern const struct bp_plugin backplane_plugin; /* plugins/serial is linked in */

/* ---- data: endless, and different in each direction of each port ---- */

struct flow {
	uint32_t state;    /* of the sender's generator */
	uint64_t sent_sum; /* FNV-1a of what was sent, and of what came */
	uint64_t got_sum;
	_Atomic(uint64_t) sent;
	_Atomic(uint64_t) got;
};

static void flow_init(struct flow *flow, uint32_t seed)
{
	flow->state = seed;
	flow->sent_sum = flow->got_sum = UINT64_C(0xcbf29ce484222325);
	atomic_store(&flow->sent, 0);
	atomic_store(&flow->got, 0);
}

static uint64_t sum_add(uint64_t sum, uint8_t byte)
{
	return (sum ^ byte) * UINT64_C(0x100000001b3);
}

/* The next byte to be sent. */
static uint8_t flow_next(struct flow *flow)
{
	uint8_t byte;

	flow->state = flow->state * 1664525u + 1013904223u;
	byte = (uint8_t)(flow->state >> 24);
	flow->sent_sum = sum_add(flow->sent_sum, byte);
	return byte;
}

/* ---- a port ---- */

struct port {
	struct plugin_class class;
	struct device *device;
	struct config *config;
	struct opener opener;
	struct gmem mem;
	int irq_fd;
	int far;     /* the host's side */
	int stop_fd; /* ends the driver */
	uint64_t bytes;
	struct flow out, in; /* as the guest sees it */
	uint64_t interrupts;
	uint64_t gave_up;         /* times that the handler hit PASS_LIMIT */
	struct event full, go_on; /* the reader stands still; he may read on */
	pthread_t driver, reader, writer;
};

static int claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		 uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)device, (void)cookie, (void)range, (void)err;
	*ret_base = base;
	return 0;
}

static int release(void *ctx, uint32_t space, uint64_t base)
{
	(void)ctx, (void)space, (void)base;
	return 0;
}

static void quit(void *ctx)
{
	(void)ctx;
	fprintf(stderr, "a port has no escape key\n");
	abort();
}

static struct bp_stream *stream_of(struct port *port)
{
	return port->device->streams[0];
}

/* Runs a check of the stream until it says yes. */
static void await(struct port *port, bool (*check)(const struct bp_stream *stream))
{
	const struct timespec pause = { .tv_nsec = NS_PER_MS };
	uint64_t end = clock_now_ns() + PATIENCE_S * NS_PER_S;
	bool yes = false;

	while (!yes) {
		MUST(clock_now_ns() < end);
		pthread_mutex_lock(&port->device->lock);
		yes = check(stream_of(port));
		pthread_mutex_unlock(&port->device->lock);
		if (!yes)
			nanosleep(&pause, NULL);
	}
}

static bool has_client(const struct bp_stream *stream)
{
	return stream->out.fd >= 0;
}

/* The device was told "no room" in the ring, and there is none in the kernel. */
static bool is_full(const struct bp_stream *stream)
{
	return stream->want_room && stream->waiting && stream->out_count == STREAM_OUTPUT_BYTES;
}

static void attach(struct port *port, const char *socket_path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int small = 16384;
	char name[64];

	if (!socket_path) {
		assert_int_equal(ptsname_r(stream_of(port)->in.fd, name, sizeof(name)), 0);
		port->far = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_true(port->far >= 0);
		return;
	}
	port->far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	assert_int_equal(connect(port->far, (struct sockaddr *)&address, sizeof(address)), 0);
	await(port, has_client);
	/* The kernel would keep most of what a short test sends. */
	assert_int_equal(setsockopt(stream_of(port)->out.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
}

static void port_open(struct port *port, const char *folder, const char *class_name, const char *stream)
{
	static const char *const common[] = { "plugin", "id", "class", NULL };
	struct device_spec spec = { .place = { .claim = claim, .release = release, .quit = quit } };
	const struct bp_device_class *table = NULL;
	struct err err = ERR_NONE;
	char path[64], socket_path[64];
	FILE *file;

	memset(port, 0, sizeof(*port));
	snprintf(path, sizeof(path), "%s/vm.cfg", folder);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
	file = fopen(path, "we");
	assert_non_null(file);
	/* However slow this machine is, nothing may be dropped. */
	fprintf(file,
		"machine = { memory = \"64M\"; };\nboot = { kernel = \"none\"; };\n"
		"devices = ( { plugin = \"serial\"; id = \"port\"; stream = \"%s\"; stall = \"1h\"; } );\n",
		stream);
	assert_int_equal(fclose(file), 0);
	for (uint32_t i = 0; i < backplane_plugin.class_count; i++) {
		const struct bp_device_class *found = backplane_plugin.classes[i];

		if (!strcmp(found->name, class_name))
			table = found;
	}
	assert_non_null(table);
	assert_int_equal(class_copy(table, &port->class, &err), 0);
	assert_int_equal(config_load(path, NULL, 0, &port->config, &err), 0);
	assert_int_equal(config_check_group(port->config->devices[0].node, port->class.decl.schema, "devices.port",
					    common, &spec.values, &err),
			 0);
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(open_values(&port->opener, spec.values, &err), 0);
	log_release();
	port->irq_fd = fd_event();
	port->stop_fd = fd_event();
	spec.id = class_name;
	spec.class = &port->class;
	spec.mem = &port->mem;
	spec.irq_fds[0] = dup(port->irq_fd);
	port->full = (struct event)EVENT_INIT;
	port->go_on = (struct event)EVENT_INIT;
	assert_int_equal(device_new(&spec, &port->device, &err), 0);
	assert_int_equal(device_start(port->device, &err), 0);
	attach(port, strcmp(stream, "pty") ? socket_path : NULL);
	assert_int_equal(unlink(path), 0);
}

static void port_close(struct port *port)
{
	device_stop(port->device);
	opener_end(&port->opener);
	device_free(port->device);
	config_free(port->config);
	class_free(&port->class);
	close(port->far);
	close(port->irq_fd);
	close(port->stop_fd);
}

/* ---- the guest's driver ---- */

static uint8_t reg_in(struct port *port, uint32_t reg)
{
	uint64_t value = 0;

	MUST(device_access(port->device, 0, reg, 1, false, &value) == 0);
	return (uint8_t)value;
}

static void reg_out(struct port *port, uint32_t reg, uint32_t value)
{
	uint64_t wide = value;

	MUST(device_access(port->device, 0, reg, 1, true, &wide) == 0);
}

/* serial8250_rx_chars() */
static uint8_t receive_chars(struct port *port, uint8_t lsr)
{
	int count = 0;

	do {
		uint8_t byte;

		MUST(!(lsr & UART_LSR_OE));
		byte = reg_in(port, UART_RBR);
		port->in.got_sum = sum_add(port->in.got_sum, byte);
		atomic_fetch_add(&port->in.got, 1);
		lsr = reg_in(port, UART_LSR);
	} while ((lsr & UART_LSR_DR) && ++count < RX_PASS);
	return lsr;
}

/* serial8250_tx_chars(): a FIFO full of them; with nothing more to send the interrupt goes. */
static void transmit_chars(struct port *port, uint8_t *ier)
{
	for (int i = 0; i < UART_FIFO_BYTES && atomic_load(&port->out.sent) < port->bytes; i++) {
		reg_out(port, UART_THR, flow_next(&port->out));
		atomic_fetch_add(&port->out.sent, 1);
	}
	if (atomic_load(&port->out.sent) == port->bytes) {
		*ier &= (uint8_t)~UART_IER_THRI;
		reg_out(port, UART_IER, *ier);
	}
}

/* serial8250_interrupt() and serial8250_handle_irq() */
static void handle_interrupt(struct port *port, uint8_t *ier)
{
	for (int pass = 0; pass <= PASS_LIMIT; pass++) {
		uint8_t lsr;

		if (reg_in(port, UART_IIR) & UART_IIR_NONE)
			return;
		lsr = reg_in(port, UART_LSR);
		if (lsr & UART_LSR_DR)
			lsr = receive_chars(port, lsr);
		reg_in(port, UART_MSR);
		if ((lsr & UART_LSR_THRE) && (*ier & UART_IER_THRI))
			transmit_chars(port, ier);
	}
	port->gave_up++;
}

static void *play_driver(void *arg)
{
	struct port *port = arg;
	uint8_t ier = IER_OPEN;

	reg_out(port, UART_FCR, UART_FCR_ENABLE);
	reg_out(port, UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
	reg_out(port, UART_FCR, 0);
	reg_out(port, UART_LCR, 3);
	reg_out(port, UART_IER, ier);
	reg_out(port, UART_FCR, UART_FCR_ENABLE);
	reg_out(port, UART_FCR, FCR_OPEN);
	reg_out(port, UART_MCR, MCR_OPEN);
	/* serial8250_start_tx() */
	ier |= UART_IER_THRI;
	reg_out(port, UART_IER, ier);
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = port->irq_fd, .events = POLLIN },
			{ .fd = port->stop_fd, .events = POLLIN },
		};

		MUST(poll(fds, 2, -1) > 0);
		if (fds[1].revents)
			return NULL;
		port->interrupts++;
		fd_event_clear(port->irq_fd);
		handle_interrupt(port, &ier);
	}
}

/* ---- the host's side ---- */

static void *play_writer(void *arg)
{
	struct port *port = arg;
	uint8_t chunk[CHUNK];
	uint64_t done = 0;

	while (done < port->bytes) {
		size_t bytes = port->bytes - done < CHUNK ? (size_t)(port->bytes - done) : CHUNK;

		for (size_t i = 0; i < bytes; i++)
			chunk[i] = flow_next(&port->in);
		for (size_t at = 0; at < bytes;) {
			ssize_t count = write(port->far, chunk + at, bytes - at);

			MUST(count > 0);
			at += (size_t)count;
			atomic_fetch_add(&port->in.sent, (uint64_t)count);
		}
		done += bytes;
	}
	return NULL;
}

/* Reads a quarter, stands still until the device is full and he is told to go on, and reads the rest. */
static void *play_reader(void *arg)
{
	struct port *port = arg;
	uint8_t chunk[CHUNK];
	bool stopped = false;
	uint64_t got = 0;

	while (got < port->bytes) {
		ssize_t count;

		if (!stopped && got >= port->bytes / 4) {
			stopped = true;
			await(port, is_full);
			event_post(&port->full);
			MUST(event_wait(&port->go_on, 1));
		}
		count = read(port->far, chunk, sizeof(chunk));
		MUST(count > 0);
		for (ssize_t i = 0; i < count; i++)
			port->out.got_sum = sum_add(port->out.got_sum, chunk[i]);
		got += (uint64_t)count;
		atomic_store(&port->out.got, got);
	}
	return NULL;
}

/* ---- watching ---- */

static uint64_t rss_kib(void)
{
	char line[128];
	uint64_t kib = 0;
	FILE *file = fopen("/proc/self/status", "re");

	MUST(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1)
			break;
	fclose(file);
	MUST(kib);
	return kib;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t progress(struct port *ports)
{
	uint64_t sum = 0;

	for (int i = 0; i < PORTS; i++)
		sum += atomic_load(&ports[i].out.got) + atomic_load(&ports[i].in.got);
	return sum;
}

/* Until everything has arrived everywhere. The largest RSS on the way. */
static uint64_t watch(struct port *ports, uint64_t total)
{
	const struct timespec pause = { .tv_nsec = 20 * NS_PER_MS };
	uint64_t last = 0, since = clock_now_ns(), most = 0, now;

	while ((now = progress(ports)) < total) {
		uint64_t rss = rss_kib();

		most = rss > most ? rss : most;
		if (now != last) {
			last = now;
			since = clock_now_ns();
		} else if (clock_now_ns() - since > STUCK_NS) {
			for (int i = 0; i < PORTS; i++)
				print_error("port %d: out %" PRIu64 " of %" PRIu64 ", in %" PRIu64 " of %" PRIu64 "\n",
					    i, atomic_load(&ports[i].out.got), atomic_load(&ports[i].out.sent),
					    atomic_load(&ports[i].in.got), atomic_load(&ports[i].in.sent));
			abort();
		}
		nanosleep(&pause, NULL);
	}
	return most;
}

static char folder[] = "/tmp/test_serial_wire.XXXXXX";

static void both_ways_through_two_ports_at_once(void **state)
{
	static struct port ports[PORTS];
	const uint64_t bytes = from_environment("BP_WIRE_BYTES", BYTES_DEFAULT);
	const struct timespec stop = { .tv_sec = (time_t)from_environment("BP_WIRE_PAUSE_S", 0) };
	uint64_t before, most, begin, arrived;
	char text[128];

	(void)state;
	assert_true(bytes >= BYTES_DEFAULT);
	snprintf(text, sizeof(text), "unix:%s/socket", folder);
	port_open(&ports[0], folder, "serial", "pty");
	port_open(&ports[1], folder, "serial-mmio", text);
	begin = clock_now_ns();
	for (uint32_t i = 0; i < PORTS; i++) {
		ports[i].bytes = bytes;
		flow_init(&ports[i].out, 2 * i + 1);
		flow_init(&ports[i].in, 2 * i + 2);
		assert_int_equal(pthread_create(&ports[i].reader, NULL, play_reader, &ports[i]), 0);
		assert_int_equal(pthread_create(&ports[i].writer, NULL, play_writer, &ports[i]), 0);
		assert_int_equal(pthread_create(&ports[i].driver, NULL, play_driver, &ports[i]), 0);
	}
	/* Both readers stand still, both devices are full. */
	for (int i = 0; i < PORTS; i++)
		assert_true(event_wait(&ports[i].full, 1));
	before = rss_kib();
	arrived = progress(ports);
	if (stop.tv_sec) {
		nanosleep(&stop, NULL);
		/* What goes the other way is not held up. */
		assert_true(progress(ports) > arrived);
	}
	for (int i = 0; i < PORTS; i++) {
		assert_in_range(atomic_load(&ports[i].out.got), bytes / 4, bytes / 4 + CHUNK);
		event_post(&ports[i].go_on);
	}
	most = watch(ports, 2 * PORTS * bytes);
	for (int i = 0; i < PORTS; i++) {
		struct port *port = &ports[i];

		assert_true(thread_join(port->reader));
		assert_true(thread_join(port->writer));
		fd_event_signal(port->stop_fd);
		assert_true(thread_join(port->driver));
		assert_int_equal(port->out.got, bytes);
		assert_int_equal(port->in.got, bytes);
		assert_true(port->out.got_sum == port->out.sent_sum);
		assert_true(port->in.got_sum == port->in.sent_sum);
		print_message("# port %d: %" PRIu64 " bytes each way, %" PRIu64
			      " interrupts, the handler gave up %" PRIu64 " times\n",
			      i, bytes, port->interrupts, port->gave_up);
		port_close(port);
	}
	print_message("# %" PRIu64 " ms, RSS %" PRIu64 " KiB, at most %" PRIu64 " KiB\n",
		      (clock_now_ns() - begin) / NS_PER_MS, before, most);
	assert_true(most <= before + GROWTH_KIB);
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	log_release();
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_ways_through_two_ports_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
