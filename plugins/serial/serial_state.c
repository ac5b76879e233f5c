/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving and loading the chip; see serial_state.h. */
#include "serial_state.h"

#include <string.h>

/* Fields of a state. */
#define TAG_IER        1u
#define TAG_FCR        2u
#define TAG_LCR        3u
#define TAG_MCR        4u
#define TAG_MSR        5u
#define TAG_SCR        6u
#define TAG_DIVISOR    7u
#define TAG_FLAGS      8u
#define TAG_POLLS      9u
#define TAG_TX         10u /* oldest first, as the next */
#define TAG_RX         11u

#define FLAG_OVERRUN   (1u << 0)
#define FLAG_THRE      (1u << 1)
#define FLAG_TIMED_OUT (1u << 2)
#define FLAG_RTS_USED  (1u << 3)
#define FLAG_BELIEVED  (1u << 4)
#define FLAG_SENDING   (1u << 5)
#define FLAG_BURST     (1u << 6)
#define FLAGS          0x7fu

int serial_state_save(const struct uart *uart, struct bp_writer *writer)
{
	uint8_t rx[UART_FIFO_BYTES];
	uint32_t flags = 0;

	for (size_t i = 0; i < uart->rx_count; i++)
		rx[i] = uart->rx[(uart->rx_head + i) % UART_FIFO_BYTES];
	flags |= uart->overrun ? FLAG_OVERRUN : 0;
	flags |= uart->thre_pending ? FLAG_THRE : 0;
	flags |= uart->timed_out ? FLAG_TIMED_OUT : 0;
	flags |= uart->rts_used ? FLAG_RTS_USED : 0;
	flags |= uart->believed ? FLAG_BELIEVED : 0;
	flags |= uart->sending ? FLAG_SENDING : 0;
	flags |= uart->burst ? FLAG_BURST : 0;
	bp_put_uint(writer, TAG_IER, uart->ier);
	bp_put_uint(writer, TAG_FCR, uart->fcr);
	bp_put_uint(writer, TAG_LCR, uart->lcr);
	bp_put_uint(writer, TAG_MCR, uart->mcr);
	bp_put_uint(writer, TAG_MSR, uart->msr);
	bp_put_uint(writer, TAG_SCR, uart->scr);
	bp_put_uint(writer, TAG_DIVISOR, uart->divisor);
	bp_put_uint(writer, TAG_FLAGS, flags);
	bp_put_uint(writer, TAG_POLLS, uart->polls);
	bp_put_bytes(writer, TAG_TX, uart->tx, uart->tx_count);
	bp_put_bytes(writer, TAG_RX, rx, uart->rx_count);
	return 0;
}

static int load_byte(struct bp_reader *reader, uint32_t tag, uint8_t *ret)
{
	uint64_t value = 0;
	int r = bp_get_uint_max(reader, tag, UINT8_MAX, &value);

	if (!r)
		*ret = (uint8_t)value;
	return r;
}

static int load_registers(struct uart *uart, struct bp_reader *reader)
{
	struct {
		uint32_t tag;
		uint8_t *reg;
	} const registers[] = {
		{ TAG_IER, &uart->ier }, { TAG_FCR, &uart->fcr }, { TAG_LCR, &uart->lcr },
		{ TAG_MCR, &uart->mcr }, { TAG_MSR, &uart->msr }, { TAG_SCR, &uart->scr },
	};
	uint64_t divisor = 0;
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(registers) / sizeof(registers[0]); i++)
		r = load_byte(reader, registers[i].tag, registers[i].reg);
	if (!r)
		r = bp_get_uint_max(reader, TAG_DIVISOR, UINT16_MAX, &divisor);
	if (r < 0)
		return r;
	uart->divisor = (uint16_t)divisor;
	if ((uart->ier & ~UART_IER_MASK) || (uart->fcr & ~UART_FCR_KEPT) || (uart->mcr & ~UART_MCR_MASK) ||
	    (uart->fcr && !uart_has_fifos(uart)))
		return -ERANGE;
	return 0;
}

static int load_fifo(const struct uart *uart, struct bp_reader *reader, uint32_t tag, uint8_t *fifo, size_t *ret_count)
{
	int r = bp_get_bytes(reader, tag, fifo, uart_has_fifos(uart) ? UART_FIFO_BYTES : 1);

	if (r < 0)
		return r;
	*ret_count = (size_t)r;
	return 0;
}

int serial_state_load(struct uart *uart, struct bp_reader *reader)
{
	uint64_t flags = 0, polls = 0;
	int r = load_registers(uart, reader);

	if (!r)
		r = bp_get_uint_max(reader, TAG_FLAGS, FLAGS, &flags);
	if (!r)
		r = bp_get_uint_max(reader, TAG_POLLS, UINT32_MAX / 2, &polls);
	if (!r)
		r = load_fifo(uart, reader, TAG_TX, uart->tx, &uart->tx_count);
	if (!r)
		r = load_fifo(uart, reader, TAG_RX, uart->rx, &uart->rx_count);
	if (r < 0)
		return r;
	uart->rx_head = 0;
	uart->polls = (uint32_t)polls;
	uart->overrun = flags & FLAG_OVERRUN;
	uart->thre_pending = flags & FLAG_THRE;
	uart->timed_out = flags & FLAG_TIMED_OUT;
	uart->rts_used = flags & FLAG_RTS_USED;
	uart->believed = flags & FLAG_BELIEVED;
	uart->sending = flags & FLAG_SENDING;
	uart->burst = flags & FLAG_BURST;
	return 0;
}
