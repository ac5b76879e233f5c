/* SPDX-License-Identifier: BSD-3-Clause */
/* A plugin's process, played by the test, before its device is there, and what it claims: that is its own, or ends it. */
#include "tests/unit/breach_fixture.h"

/* ---- claims ---- */

BREACH(a_claim_out_of_turn, WIRE_RESET, {
	const struct wire_claim claim = fake_claim(1);
	fake_ask(fake, WIRE_CLAIM, &claim);
})
BREACH(a_release_out_of_turn, WIRE_RESET, {
	const struct wire_release release = { .space = BP_MMIO, .base = UINT64_C(0xd2001000) };
	fake_ask(fake, WIRE_RELEASE, &release);
})

/* ---- before there is a device ---- */

static bool nonsense(struct fake *fake, const struct wire_message *message)
{
	fake_reply(fake, message, NULL, "nonsense", 8);
	return true;
}

static void a_declaration_of_nonsense_is_refused(void **state)
{
	struct fake *fake = *state;

	fake_begin(fake, WIRE_LOAD, nonsense);
	assert_int_equal(process_load(fake->rig.process, &fake->rig.err), -EINVAL);
}

static bool nothing(struct fake *fake, const struct wire_message *message)
{
	fake_reply(fake, message, NULL, NULL, 0);
	return true;
}

static void a_declaration_of_nothing_is_refused(void **state)
{
	struct fake *fake = *state;

	fake_begin(fake, WIRE_LOAD, nothing);
	assert_int_equal(process_load(fake->rig.process, &fake->rig.err), -EINVAL);
}

static void refuse_load(struct fake *fake, script_fn *script, const char *why)
{
	fake_begin(fake, WIRE_LOAD, script);
	assert_int_equal(process_load(fake->rig.process, &fake->rig.err), -ENODEV);
	assert_non_null(strstr(fake->rig.err.text, "its process broke the protocol while it was loaded: "));
	assert_non_null(strstr(fake->rig.err.text, why));
}

static bool early_event(struct fake *fake, const struct wire_message *message)
{
	const struct wire_event event = { .event = BP_EVENT_PANIC };

	fake_notice(fake, WIRE_EVENT, &event);
	return !message;
}

static void an_event_before_there_is_a_device(void **state)
{
	refuse_load(*state, early_event, "an event that there is not");
}

static bool early_quit(struct fake *fake, const struct wire_message *message)
{
	fake_notice(fake, WIRE_QUIT, NULL);
	return !message;
}

static void a_quit_before_there_is_a_device(void **state)
{
	refuse_load(*state, early_quit, "a notice before there is a device");
}

static bool early_claim(struct fake *fake, const struct wire_message *message)
{
	const struct wire_claim claim = fake_claim(0);

	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_before_there_is_a_device(void **state)
{
	refuse_load(*state, early_claim, "a claim that is not its own to make");
}

static void a_claim_of_one_that_never_was_a_device(void **state)
{
	struct fake *fake = *state;

	fake_begin(fake, WIRE_END, early_claim);
	must(process_load(fake->rig.process, &fake->rig.err), &fake->rig.err);
	process_ask_plain(fake->rig.process, WIRE_END, &fake->rig.err);
	assert_int_equal(fake->rig.process->failure.cause, FAILURE_PROTOCOL);
}

static _Noreturn bool closes(struct fake *fake, const struct wire_message *message)
{
	(void)message;
	close(fake->wire.fd);
	for (;;)
		pause();
}

static void one_that_closes_its_socket_and_lives_on(void **state)
{
	refuse_load(*state, closes, "it closed its socket");
}

static void refuse_create(struct fake *fake, script_fn *script)
{
	struct rig *rig = &fake->rig;

	fake_begin(fake, WIRE_CREATE, script);
	must(process_load(rig->process, &rig->err), &rig->err);
	assert_int_equal(rig_create(rig, "faulty", ""), -ENODEV);
	assert_non_null(strstr(rig->err.text, "its process broke the protocol while it was created: "));
	assert_int_equal(claims_held(&rig->home), 0);
}

static bool far_cookie(struct fake *fake, const struct wire_message *message)
{
	struct wire_claim claim = fake_claim(0);

	claim.cookie = CLASS_RANGES_MAX;
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_with_a_foreign_cookie(void **state)
{
	refuse_create(*state, far_cookie);
}

static bool other_length(struct fake *fake, const struct wire_message *message)
{
	struct wire_claim claim = fake_claim(0);

	claim.length *= 2;
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_that_is_not_what_was_declared(void **state)
{
	refuse_create(*state, other_length);
}

static bool elsewhere(struct fake *fake, const struct wire_message *message)
{
	struct wire_claim claim = fake_claim(0);

	claim.base += 0x100000;
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_that_is_not_where_it_was_planned(void **state)
{
	refuse_create(*state, elsewhere);
}

static bool claims_twice(struct fake *fake, const struct wire_message *message)
{
	const struct wire_claim claim = fake_claim(0);

	fake_ask(fake, WIRE_CLAIM, &claim);
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_range_that_is_claimed_twice(void **state)
{
	refuse_create(*state, claims_twice);
}

static bool foreign_release(struct fake *fake, const struct wire_message *message)
{
	const struct wire_release release = { .space = BP_MMIO, .base = 0x1000 };

	fake_ask(fake, WIRE_RELEASE, &release);
	return !message;
}

static void a_release_of_what_is_not_its_own(void **state)
{
	refuse_create(*state, foreign_release);
}

static bool offers_queues(struct fake *fake, const struct wire_message *message)
{
	const struct wire_created created = { .queue_count = 1 };

	fake_reply(fake, message, &created, NULL, 0);
	return true;
}

static void queues_of_a_device_that_has_none(void **state)
{
	refuse_create(*state, offers_queues);
}

static bool dynamic(struct fake *fake, const struct wire_message *message)
{
	const struct wire_claim claim = fake_claim(1);

	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_range_beyond_those_declared_is_fine(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, WIRE_CREATE, dynamic);
	assert_int_equal(claims_held(&fake->rig.home), 2);
	assert_int_equal(home_read(&fake->rig.home, 1, 0, 4), 0x1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_claim_out_of_turn),
		FAKE_TEST(a_release_out_of_turn),
		FAKE_TEST(a_declaration_of_nonsense_is_refused),
		FAKE_TEST(a_declaration_of_nothing_is_refused),
		FAKE_TEST(an_event_before_there_is_a_device),
		FAKE_TEST(a_quit_before_there_is_a_device),
		FAKE_TEST(a_claim_before_there_is_a_device),
		FAKE_TEST(a_claim_of_one_that_never_was_a_device),
		FAKE_TEST(one_that_closes_its_socket_and_lives_on),
		FAKE_TEST(a_claim_with_a_foreign_cookie),
		FAKE_TEST(a_claim_that_is_not_what_was_declared),
		FAKE_TEST(a_claim_that_is_not_where_it_was_planned),
		FAKE_TEST(a_range_that_is_claimed_twice),
		FAKE_TEST(a_release_of_what_is_not_its_own),
		FAKE_TEST(queues_of_a_device_that_has_none),
		FAKE_TEST(a_range_beyond_those_declared_is_fine),
	};

	return cmocka_run_group_tests_name("process_claims", tests, NULL, NULL);
}
