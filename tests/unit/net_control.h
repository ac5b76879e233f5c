/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of the guest of a network card; see net_fixture.h. */
#ifndef TESTS_UNIT_NET_CONTROL_H
#define TESTS_UNIT_NET_CONTROL_H

#include "tests/unit/net_fixture.h"

/* What the card answers to these bytes. */
static inline uint8_t command_bytes(struct card *card, uint32_t queue, const uint8_t *bytes, size_t count, size_t piece)
{
	struct fakehost_piece pieces[65] = { { NULL, 0 } };
	struct fakehost_chain *chain;
	size_t used = 0;
	uint8_t ack;

	for (size_t at = 0; at < count; used++) {
		size_t part = piece && piece < count - at ? piece : count - at;

		pieces[used] = (struct fakehost_piece){ bytes + at, part };
		at += part;
	}
	pieces[used] = (struct fakehost_piece){ NULL, 1 };
	assert_int_equal(fakehost_chain(card->dev, queue, pieces, &chain), 0);
	assert_int_not_equal(fakehost_chain_order(chain), 0);
	assert_int_equal(fakehost_chain_used(chain), 1);
	assert_int_equal(fakehost_chain_get(chain, 0, &ack, 1), 1);
	assert_in_range(ack, VIRTIO_NET_OK, VIRTIO_NET_ERR);
	return ack;
}

static inline uint8_t command(struct card *card, uint32_t queue, uint8_t class_number, uint8_t number, const void *data,
			      size_t bytes)
{
	uint8_t all[64] = { class_number, number };

	assert_true(bytes <= sizeof(all) - 2);
	memcpy(all + 2, data, bytes);
	return command_bytes(card, queue, all, 2 + bytes, 0);
}

static inline uint8_t set_pairs(struct card *card, uint32_t queue, uint16_t pairs)
{
	const struct virtio_net_ctrl_mq data = { .virtqueue_pairs = htole16(pairs) };

	return command(card, queue, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &data, sizeof(data));
}

static inline uint8_t set_offloads(struct card *card, uint32_t queue, uint64_t offloads)
{
	const uint64_t data = htole64(offloads);

	return command(card, queue, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &data,
		       sizeof(data));
}

#endif
