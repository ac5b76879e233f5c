/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: what is offered and shown for which configuration, and which queue is whose. */
#include "tests/unit/net_fixture.h"

#define GUEST_OFFLOADS                                                                                \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 BIT(VIRTIO_NET_F_GUEST_ECN))
#define HOST_OFFLOADS                                                                         \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | \
	 BIT(VIRTIO_NET_F_HOST_ECN))
#define ALWAYS          (BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_MRG_RXBUF))
#define CONTROL         BIT(VIRTIO_NET_F_CTRL_VQ)
#define OFFLOAD_CONTROL BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)

static void assert_offer(struct card *card, uint64_t features, uint32_t queues)
{
	uint32_t count;

	assert_int_equal(fakehost_virtio_offer(card->dev, &count), features);
	assert_int_equal(count, queues);
}

/* ---- what is offered ---- */

static void a_tap_has_everything(void **state)
{
	card_open(*state, "tap", NULL);
	assert_offer(*state, ALWAYS | HOST_OFFLOADS | GUEST_OFFLOADS | CONTROL | OFFLOAD_CONTROL, 3);
}

static void without_offload_a_tap_has_no_control_queue(void **state)
{
	card_open(*state, "tap", (const struct fakehost_pair[]){ { "offload", "false" }, { NULL, NULL } });
	assert_offer(*state, ALWAYS, 2);
	assert_int_equal(calls.offloads, 0);
}

static void a_tap_that_cannot_leave_work_to_the_guest(void **state)
{
	calls.ioctl_error = EINVAL;
	card_open(*state, "tap", NULL);
	assert_offer(*state, ALWAYS | HOST_OFFLOADS, 2);
}

static void offloads_of_an_earlier_user_are_taken_away(void **state)
{
	calls.offloads = TUN_F_CSUM | TUN_F_TSO4;
	card_open(*state, "tap", NULL);
	assert_int_equal(calls.offloads, 0);
}

static void queue_pairs_bring_multiqueue(void **state)
{
	card_open(*state, "tap",
		  (const struct fakehost_pair[]){ { "queues", "4" }, { "offload", "false" }, { NULL, NULL } });
	assert_offer(*state, ALWAYS | BIT(VIRTIO_NET_F_MQ) | CONTROL, 9);
}

static void sixteen_pairs_are_the_most(void **state)
{
	struct card *card = *state;

	card_open(card, "tap", (const struct fakehost_pair[]){ { "queues", "16" }, { NULL, NULL } });
	assert_offer(card, ALWAYS | HOST_OFFLOADS | GUEST_OFFLOADS | CONTROL | OFFLOAD_CONTROL | BIT(VIRTIO_NET_F_MQ),
		     33);
	assert_int_equal(card_create(card, "more", "tap",
				     (const struct fakehost_pair[]){ { "queues", "17" }, { NULL, NULL } }, &card->dev),
			 -EINVAL);
}

static void a_connection_has_no_offloads(void **state)
{
	card_open(*state, "passt", NULL);
	assert_offer(*state, ALWAYS, 2);
}

static void an_mtu_is_offered_if_there_is_one(void **state)
{
	card_open(*state, "passt", (const struct fakehost_pair[]){ { "mtu", "65535" }, { NULL, NULL } });
	assert_offer(*state, ALWAYS | BIT(VIRTIO_NET_F_MTU), 2);
}

/* ---- configuration space ---- */

static struct virtio_net_config config_of(const struct card *card)
{
	struct virtio_net_config config = { 0 };

	assert_int_equal(fakehost_config_read(card->dev, 0, &config, 12), 0);
	/* Nothing else is offered that would be there. */
	assert_int_equal(fakehost_config_read(card->dev, 12, &config, 1), -EINVAL);
	return config;
}

static void configuration_space_says_what_is_configured(void **state)
{
	struct virtio_net_config config;

	card_open(*state, "tap",
		  (const struct fakehost_pair[]){ { "queues", "3" }, { "mtu", "9000" }, { NULL, NULL } });
	config = config_of(*state);
	assert_memory_equal(config.mac, own_mac, 6);
	assert_int_equal(le16toh(config.status), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(le16toh(config.max_virtqueue_pairs), 3);
	assert_int_equal(le16toh(config.mtu), 9000);
}

static void the_guest_cannot_write_there(void **state)
{
	const uint8_t byte = 2;
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(fakehost_config_write(card->dev, i, &byte, 1), -EACCES);
	assert_memory_equal(config_of(card).mac, own_mac, 6);
}

/* ---- addresses ---- */

static void make(struct card *card, const char *id, uint8_t *ret_mac)
{
	assert_int_equal(card_create(card, id, "tap", NULL, &card->dev), 0);
	memcpy(ret_mac, config_of(card).mac, 6);
	/* Locally administered, and of one card. */
	assert_int_equal(ret_mac[0] & 3, 2);
}

static void an_address_is_made_of_the_devices_identity(void **state)
{
	struct card *card = *state;
	uint8_t one[6], again[6], other[6];

	make(card, "one", one);
	make(card, "other", other);
	assert_memory_not_equal(one, other, 6);
	fakehost_destroy(card->dev);
	make(card, "third", other);
	assert_memory_not_equal(one, other, 6);
	fakehost_free(card->host);
	assert_int_equal(fakehost_new(4096, &card->host), 0);
	make(card, "one", again);
	assert_memory_equal(one, again, 6);
}

static void addresses_spread(void **state)
{
	struct card *card = *state;
	static uint8_t macs[100][6];

	for (uint32_t i = 0; i < COUNT_OF(macs); i++) {
		char id[16];

		snprintf(id, sizeof(id), "net%u", i);
		make(card, id, macs[i]);
		fakehost_destroy(card->dev);
		for (uint32_t j = 0; j < i; j++)
			assert_memory_not_equal(macs[i], macs[j], 6);
	}
}

static void refuse(struct card *card, const char *network, const char *name, const char *value, const char *why)
{
	const struct fakehost_pair values[] = { { name, value }, { NULL, NULL } };

	assert_int_equal(card_create(card, "net0", network, values, &card->dev), -EINVAL);
	assert_int_equal(fakehost_log_count(card->host, why), 1);
}

static void addresses_that_no_card_can_have(void **state)
{
	refuse(*state, "tap", "mac", "00:00:00:00:00:00", "mac is zero");
	refuse(*state, "tap", "mac", "01:00:5e:00:00:01", "mac is an address of a group");
}

static void pairs_need_a_tap(void **state)
{
	static const char *const networks[] = { "passt", "passt -t 2222:22", "connect:peer", "listen:peer" };

	for (size_t i = 0; i < COUNT_OF(networks); i++) {
		struct card *card = *state;
		const struct fakehost_pair values[] = { { "queues", "2" }, { NULL, NULL } };

		assert_int_equal(card_create(card, "net0", networks[i], values, &card->dev), -EINVAL);
		assert_int_equal(fakehost_log_count(card->host, "only a tap can have more than one"), i + 1);
	}
}

static void every_kind_of_tap_can_have_pairs(void **state)
{
	static const char *const networks[] = { "tap", "tap:tap0", "fd:3,4" };

	for (size_t i = 0; i < COUNT_OF(networks); i++) {
		struct card *card = *state;

		card_open(card, networks[i], (const struct fakehost_pair[]){ { "queues", "2" }, { NULL, NULL } });
		assert_offer(card,
			     ALWAYS | HOST_OFFLOADS | GUEST_OFFLOADS | CONTROL | OFFLOAD_CONTROL | BIT(VIRTIO_NET_F_MQ),
			     5);
		card_close(card);
	}
}

static void an_mtu_has_bounds(void **state)
{
	struct card *card = *state;
	const struct fakehost_pair values[][2] = {
		{ { "mtu", "67" }, { NULL, NULL } },
		{ { "mtu", "65536" }, { NULL, NULL } },
		{ { "mtu", "0" }, { NULL, NULL } },
	};

	for (size_t i = 0; i < COUNT_OF(values); i++)
		assert_int_equal(card_create(card, "net0", "tap", values[i], &card->dev), -EINVAL);
}

static void a_create_that_fails_leaves_nothing(void **state)
{
	calls.ioctl_error = EPERM;
	refuse(*state, "tap", "mac", "00:00:00:00:00:00", "mac is zero");
	assert_int_equal(card_create(*state, "net0", "tap",
				     (const struct fakehost_pair[]){ { "queues", "2" }, { NULL, NULL } },
				     &((struct card *)*state)->dev),
			 -EPERM);
	assert_int_equal(fakehost_log_count(((struct card *)*state)->host, "cannot be detached"), 1);
}

/* ---- queues ---- */

static void several_cards_do_not_know_each_other(void **state)
{
	struct card *card = *state;
	struct fakehost_dev *one, *other;

	card_run(card, "tap", NULL, 0);
	one = card->dev;
	assert_int_equal(card_create(card, "net1", "tap",
				     (const struct fakehost_pair[]){ { "mac", MAC_TEXT }, { NULL, NULL } }, &card->dev),
			 0);
	assert_int_equal(fakehost_start(card->dev), 0);
	card_drive(card, 0);
	other = card->dev;
	assert_done(send_frame(card, TX(0), 2, 200));
	card->dev = one;
	assert_done(send_frame(card, TX(0), 1, 100));
	assert_sent(card, 0, 1, 100);
	assert_nothing_sent(card, 0);
	card->dev = other;
	assert_sent(card, 0, 2, 200);
}

/* 5.1.2: without MQ there is one pair, and the control queue comes right behind it. */
static void queues_that_were_not_negotiated_do_nothing(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", (const struct fakehost_pair[]){ { "queues", "2" }, { NULL, NULL } },
		 BIT(VIRTIO_NET_F_MQ) | CONTROL);
	for (uint32_t queue = 2; queue < 5; queue++)
		assert_done(send_frame(card, queue, 1, 100));
	assert_nothing_sent(card, 0);
	assert_nothing_sent(card, 1);
	assert_false(fakehost_is_broken(card->dev));
}

static void a_driver_that_comes_back_starts_afresh(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", NULL, 0);
	give(card, RX(0), 2000, 0);
	assert_int_equal(fakehost_reset(card->dev), 0);
	far_put(card, 0, 1, 100);
	settle(card);
	assert_int_equal(calls.readv, 0);
	card_drive(card, 0);
	settle(card);
	assert_int_equal(calls.readv, 0);
	buffer = give(card, RX(0), 2000, 0);
	settle(card);
	assert_received(card, &buffer, 1, 1, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(a_tap_has_everything),
		NET_TEST(without_offload_a_tap_has_no_control_queue),
		NET_TEST(a_tap_that_cannot_leave_work_to_the_guest),
		NET_TEST(offloads_of_an_earlier_user_are_taken_away),
		NET_TEST(queue_pairs_bring_multiqueue),
		NET_TEST(sixteen_pairs_are_the_most),
		NET_TEST(a_connection_has_no_offloads),
		NET_TEST(an_mtu_is_offered_if_there_is_one),
		NET_TEST(configuration_space_says_what_is_configured),
		NET_TEST(the_guest_cannot_write_there),
		NET_TEST(an_address_is_made_of_the_devices_identity),
		NET_TEST(addresses_spread),
		NET_TEST(addresses_that_no_card_can_have),
		NET_TEST(pairs_need_a_tap),
		NET_TEST(every_kind_of_tap_can_have_pairs),
		NET_TEST(an_mtu_has_bounds),
		NET_TEST(a_create_that_fails_leaves_nothing),
		NET_TEST(several_cards_do_not_know_each_other),
		NET_TEST(queues_that_were_not_negotiated_do_nothing),
		NET_TEST(a_driver_that_comes_back_starts_afresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
