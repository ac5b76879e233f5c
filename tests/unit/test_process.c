/* SPDX-License-Identifier: BSD-3-Clause */
/* Plugins in processes of their own, where all goes well: real processes, real plugins, and what the same plugin does
 * in a thread. */
#include "tests/unit/process_fixture.h"

#include "core/device/device.h"
#include "tests/payload/beside.h"

#include <sys/resource.h>

static const char *const plugins[] = { "boot-timer", "i8042",          "pvpanic",    "rtc",
				       "serial",     "virtio-console", "virtio-blk", "virtio-rng" };

/* ---- declarations ---- */

static void same_text(const char *one, const char *other)
{
	assert_int_equal(!one, !other);
	if (one)
		assert_string_equal(one, other);
}

static void same_schema(const struct schema *one, const struct schema *other)
{
	assert_int_equal(!one, !other);
	if (!one || !other)
		return;
	assert_int_equal(one->count, other->count);
	for (size_t i = 0; i < one->count; i++) {
		const struct param *a = &one->params[i], *b = &other->params[i];

		same_text(a->name, b->name);
		same_text(a->def, b->def);
		same_text(a->help, b->help);
		same_text(a->readonly_param, b->readonly_param);
		same_text(a->pairs_param, b->pairs_param);
		assert_int_equal(a->type, b->type);
		assert_int_equal(a->flags, b->flags);
		assert_true(a->min == b->min && a->max == b->max);
		assert_int_equal(a->choice_count, b->choice_count);
		for (size_t j = 0; j < a->choice_count; j++)
			same_text(a->choices[j], b->choices[j]);
		same_schema(a->group, b->group);
	}
}

static void same_class(const struct class_decl *one, const struct class_decl *other)
{
	same_text(one->name, other->name);
	same_text(one->summary, other->summary);
	same_text(one->hid, other->hid);
	same_text(one->compatible, other->compatible);
	assert_int_equal(one->facts, other->facts);
	assert_int_equal(one->has_access, other->has_access);
	assert_int_equal(one->has_state, other->has_state);
	assert_int_equal(one->has_config_changed, other->has_config_changed);
	assert_int_equal(one->state_version, other->state_version);
	same_schema(one->schema, other->schema);
	assert_int_equal(one->range_count, other->range_count);
	for (size_t i = 0; i < one->range_count; i++) {
		assert_int_equal(one->ranges[i].space, other->ranges[i].space);
		assert_int_equal(one->ranges[i].widths, other->ranges[i].widths);
		assert_int_equal(one->ranges[i].length, other->ranges[i].length);
		same_text(one->ranges[i].base_param, other->ranges[i].base_param);
	}
	assert_int_equal(one->irq_count, other->irq_count);
	for (size_t i = 0; i < one->irq_count; i++)
		same_text(one->irqs[i].line_param, other->irqs[i].line_param);
	assert_memory_equal(&one->virtio, &other->virtio, sizeof(one->virtio));
}

static void a_declaration_is_what_a_thread_would_find(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < COUNT_OF(plugins); i++) {
		const struct plugin *other;
		struct plugin *here;

		must(rig_load(rig, plugins[i]), &rig->err);
		must(plugin_load(rig->path, &here, &rig->err), &rig->err);
		other = process_plugin(rig->process);
		assert_string_equal(here->path, other->path);
		assert_string_equal(here->id, other->id);
		assert_string_equal(here->version, other->version);
		assert_int_equal(here->abi_minor, other->abi_minor);
		assert_int_equal(here->class_count, other->class_count);
		for (size_t j = 0; j < here->class_count; j++)
			same_class(&here->classes[j].decl, &other->classes[j].decl);
		plugin_free(here);
		rig_free_process(rig);
	}
}

static void a_file_that_is_no_plugin_is_refused_before_it_is_loaded(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rig_load(rig, "bad_nonote"), -ENOEXEC);
	assert_non_null(strstr(rig->err.text, "bad_nonote.so"));
}

static void what_cannot_be_loaded_says_so(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rig_load(rig, "bad_undefined"), -ENOEXEC);
	assert_non_null(strstr(rig->err.text, "cannot load plugin \""));
}

/* ---- registers ---- */

static void a_register_keeps_what_is_written(void **state)
{
	struct rig *rig = *state;

	rig_run(rig, "led", NULL, "");
	for (uint64_t i = 0; i < 100; i++) {
		home_write(&rig->home, 0, 0, 4, 0x1000 + i);
		assert_int_equal(home_read(&rig->home, 0, 0, 4), 0x1000 + i);
	}
}

static void claims_are_those_that_the_class_declares(void **state)
{
	struct rig *rig = *state;
	const struct class_decl *decl;

	rig_run(rig, "rtc", NULL, "");
	decl = &process_plugin(rig->process)->classes[0].decl;
	assert_int_equal(claims_held(&rig->home), decl->range_count);
	for (uint32_t i = 0; i < decl->range_count; i++)
		assert_memory_equal(&claim_of(&rig->home, i)->range.length, &decl->ranges[i].length, sizeof(uint64_t));
}

static void a_refused_claim_is_the_error_of_create(void **state)
{
	struct rig *rig = *state;

	rig->home.claim_error = -EEXIST;
	must(rig_load(rig, "led"), &rig->err);
	assert_int_equal(rig_create(rig, NULL, ""), -EEXIST);
	assert_string_equal(rig->err.text, "the place refuses");
}

static void an_access_that_the_plugin_refuses_gives_ones(void **state)
{
	struct rig *rig = *state;

	rig_run(rig, "faulty", "healthy", "");
	assert_int_equal(home_read(&rig->home, 0, 12, 4), UINT32_MAX);
	assert_int_equal(home_read(&rig->home, 0, BESIDE_HEALTHY_LIVES, 4), 0);
}

static void writes_before_a_reset_belong_to_the_life_before(void **state)
{
	struct rig *rig = *state;

	rig_run(rig, "faulty", "healthy", "");
	for (unsigned int life = 1; life <= 50; life++) {
		for (unsigned int i = 0; i < 100; i++)
			home_write(&rig->home, 0, BESIDE_HEALTHY_VALUE, 4, life);
		rig->placed.ops->reset(rig->placed.ctx);
		assert_int_equal(home_read(&rig->home, 0, BESIDE_HEALTHY_VALUE, 4), 0);
		assert_int_equal(home_read(&rig->home, 0, BESIDE_HEALTHY_LIVES, 4), life);
	}
}

struct reader {
	struct rig *rig;
	uint64_t wrong;
};

static void *read_often(void *arg)
{
	struct reader *reader = arg;

	for (int i = 0; i < 2000; i++)
		reader->wrong += home_read(&reader->rig->home, 0, 0, 4) != 0x1234;
	return NULL;
}

static void threads_do_not_get_each_others_values(void **state)
{
	struct rig *rig = *state;
	struct reader reader = { .rig = rig };
	pthread_t thread;

	rig_run(rig, "faulty", "healthy", "");
	home_write(&rig->home, 0, BESIDE_HEALTHY_VALUE, 4, 0x1234);
	assert_int_equal(pthread_create(&thread, NULL, read_often, &reader), 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(home_read(&rig->home, 0, BESIDE_HEALTHY_LIVES, 4), 0);
	assert_true(thread_join(thread));
	assert_int_equal(reader.wrong, 0);
}

/* ---- what a device tells ---- */

static void events_come_home(void **state)
{
	struct rig *rig = *state;

	rig_run(rig, "events", "events-mmio", "");
	home_write(&rig->home, 0, 0, 4, 77);
	home_write(&rig->home, 0, 4, 4, BP_EVENT_MARK);
	home_write(&rig->home, 0, 4, 4, BP_EVENT_PANIC);
	MIND_UNTIL(rig, rig->home.event_count == 2);
	assert_int_equal(rig->home.events[0], BP_EVENT_MARK);
	assert_int_equal(rig->home.values[0], 77);
	assert_int_equal(rig->home.events[1], BP_EVENT_PANIC);
}

static void the_last_event_comes_however_many_there_are(void **state)
{
	struct rig *rig = *state;

	/* More than the socket holds, while nobody minds it. */
	rig_run(rig, "events", "events-mmio", "");
	for (int i = 0; i < 3000; i++)
		home_write(&rig->home, 0, 4, 4, BP_EVENT_MARK);
	home_write(&rig->home, 0, 4, 4, BP_EVENT_POWEROFF);
	assert_int_equal(home_read(&rig->home, 0, 4, 4), 3001);
	MIND_UNTIL(rig, rig->home.last_event == BP_EVENT_POWEROFF);
	/* Marks for which there was no room are lost. */
	assert_true(rig->home.event_count < 3001);
	assert_false(process_failed(rig->process));
}

static void lines_of_the_plugin_are_logged(void **state)
{
	struct rig *rig = *state;
	uint8_t *bytes;
	size_t count;

	rig_run(rig, "faulty", "faulty", "where = \"save\"; how = \"fail\";");
	must(rig->placed.ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(rig->placed.ops->save(rig->placed.ctx, &bytes, &count, &rig->err), -EIO);
	assert_string_equal(log_caught(), "backplane: warning: device: as it was told (Input/output error)\n");
	assert_string_equal(rig->err.text, "the plugin cannot save its state: Input/output error");
}

static void a_failed_create_says_why(void **state)
{
	struct rig *rig = *state;

	must(rig_load(rig, "faulty"), &rig->err);
	assert_int_equal(rig_create(rig, "faulty", "where = \"create\"; how = \"fail\";"), -EINVAL);
	assert_string_equal(rig->err.text, "no faulty device");
}

static void a_failed_start_says_why(void **state)
{
	struct rig *rig = *state;

	must(rig_load(rig, "faulty"), &rig->err);
	must(rig_create(rig, "faulty", "where = \"start\"; how = \"fail\";"), &rig->err);
	assert_int_equal(rig->placed.ops->start(rig->placed.ctx, &rig->err), -EIO);
	assert_string_equal(rig->err.text, "as it was told");
}

struct found {
	size_t count;
	char text[4096];
};

static void add_found(uint32_t kind, const char *name, const char *help, uint64_t value, void *arg)
{
	struct found *found = arg;
	size_t used = strlen(found->text);

	found->count++;
	snprintf(found->text + used, sizeof(found->text) - used, "%u %s %s %llu\n", kind, name, help,
		 (unsigned long long)value);
}

static void metrics_are_those_of_the_device(void **state)
{
	struct rig *rig = *state;
	struct found found = { 0 };

	rig_run(rig, "serial", NULL, "stream = \"null\";");
	for (int i = 0; i < 5; i++)
		home_write(&rig->home, 0, 0, 1, 'x');
	/* Behind the writes. */
	home_read(&rig->home, 0, 5, 1);
	rig->placed.ops->metrics_each(rig->placed.ctx, add_found, &found);
	assert_int_equal(found.count, 3);
	assert_non_null(strstr(found.text, "sent_bytes bytes that the stream has taken 5\n"));
}

/* ---- state ---- */

/* The same device in this process. */
static void make_here(struct rig *rig, const char *class_name, const char *keys, struct plugin **ret_plugin,
		      struct home *home, struct source *source, struct placed *ret)
{
	static const struct gmem nothing;
	const struct placed_home of_home = home_of(home);
	struct device_spec spec = { .id = "device", .mem = &nothing, .vcpus = 1 };

	memset(home, 0, sizeof(*home));
	must(plugin_load(rig->path, ret_plugin, &rig->err), &rig->err);
	spec.class = plugin_find_class(*ret_plugin, class_name);
	spec.values = values_from(source, spec.class, keys);
	for (size_t i = 0; i < spec.class->decl.irq_count; i++)
		spec.irq_fds[i] = fd_event();
	for (size_t i = 0; i < spec.class->decl.range_count; i++)
		spec.bases[i] = UINT64_C(0xd0000000) + i * 0x1000;
	must(placed_thread_new(&spec, &of_home, ret, &rig->err), &rig->err);
	must(ret->ops->start(ret->ctx, &rig->err), &rig->err);
}

/* A guest that knows nothing of the device. */
static void play(struct home *home, const struct class_decl *decl)
{
	uint32_t seed = 1;

	for (unsigned int i = 0; i < 500; i++) {
		uint32_t range = (seed >> 9 & 1) % (uint32_t)decl->range_count;
		uint32_t offset = (seed >> 10 & 7) % (uint32_t)decl->ranges[range].length;
		uint64_t value = seed >> 16 & 0xff;

		seed = seed * 1664525u + 1013904223u;
		if (seed >> 20 & 1)
			home_write(home, range, offset, 1, value);
		else
			home_read(home, range, offset, 1);
	}
}

static void save(const struct placed *placed, uint8_t **bytes, size_t *count)
{
	struct err err = ERR_NONE;

	must(placed->ops->save(placed->ctx, bytes, count, &err), &err);
}

static void load(const struct placed *placed, const uint8_t *bytes, size_t count)
{
	struct err err = ERR_NONE;

	must(placed->ops->load(placed->ctx, bytes, count, &err), &err);
}

/* From a process into a thread and back. */
static void state_goes_round(struct rig *rig, const char *plugin, const char *keys)
{
	uint8_t *first, *second, *third;
	size_t first_count, second_count, third_count;
	struct plugin *code;
	struct placed here;
	struct home home;
	struct source source;

	rig_run(rig, plugin, NULL, keys);
	make_here(rig, NULL, keys, &code, &home, &source, &here);
	play(&rig->home, &code->classes[0].decl);
	must(rig->placed.ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
	must(here.ops->quiesce(here.ctx, &rig->err), &rig->err);
	save(&rig->placed, &first, &first_count);
	load(&here, first, first_count);
	save(&here, &second, &second_count);
	assert_int_equal(first_count, second_count);
	assert_memory_equal(first, second, first_count);
	rig->placed.ops->reset(rig->placed.ctx);
	load(&rig->placed, second, second_count);
	save(&rig->placed, &third, &third_count);
	assert_int_equal(first_count, third_count);
	assert_memory_equal(first, third, first_count);
	must(rig->placed.ops->resume(rig->placed.ctx, &rig->err), &rig->err);
	home_read(&rig->home, 0, 0, 1);
	assert_false(process_failed(rig->process));
	here.ops->stop(here.ctx);
	source_end(&source);
	here.ops->free(here.ctx);
	plugin_free(code);
	free(first);
	free(second);
	free(third);
	rig->placed.ops->stop(rig->placed.ctx);
	rig_free_process(rig);
}

static void states_are_the_same_in_both_placements(void **state)
{
	log_catch(LOG_LEVEL_ERROR);
	state_goes_round(*state, "boot-timer", "");
	state_goes_round(*state, "i8042", "");
	state_goes_round(*state, "pvpanic", "");
	state_goes_round(*state, "rtc", "");
	state_goes_round(*state, "serial", "stream = \"null\";");
	assert_string_equal(log_caught(), "");
}

static void bytes_that_are_no_state_are_refused(void **state)
{
	struct rig *rig = *state;

	rig_run(rig, "faulty", "faulty", "");
	must(rig->placed.ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
	assert_int_equal(rig->placed.ops->load(rig->placed.ctx, "nonsense", 8, &rig->err), -EINVAL);
	assert_string_equal(rig->err.text, "these are not the bytes of a device's state");
	assert_false(process_failed(rig->process));
}

static void a_device_at_rest_answers_no_access(void **state)
{
	struct rig *rig = *state;

	rig_run(rig, "faulty", "healthy", "");
	must(rig->placed.ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
	assert_int_equal(home_read(&rig->home, 0, BESIDE_HEALTHY_VALUE, 4), UINT32_MAX);
	must(rig->placed.ops->resume(rig->placed.ctx, &rig->err), &rig->err);
	assert_int_equal(home_read(&rig->home, 0, BESIDE_HEALTHY_VALUE, 4), 0);
}

/* ---- ends ---- */

static void nothing_is_left_of_many(void **state)
{
	struct rig *rig = *state;
	size_t fds = 0;

	log_catch(LOG_LEVEL_WARN);
	for (int i = 0; i < 50; i++) {
		struct pollfd gone;
		int pidfd;

		rig_run(rig, "led", NULL, "");
		pidfd = dup(rig->process->pidfd);
		rig->placed.ops->stop(rig->placed.ctx);
		rig_free_process(rig);
		gone = (struct pollfd){ .fd = pidfd, .events = POLLIN };
		assert_int_equal(poll(&gone, 1, 0), 1);
		/* It has been waited for, too. */
		assert_int_equal(pidfd_send_signal(pidfd, 0, NULL, 0), -1);
		close(pidfd);
		if (!fds)
			fds = count_fds();
		assert_int_equal(count_fds(), fds);
	}
	assert_string_equal(log_caught(), "");
}

static void a_process_that_only_loaded_can_be_freed(void **state)
{
	struct rig *rig = *state;
	size_t fds;

	log_catch(LOG_LEVEL_WARN);
	fds = count_fds();
	must(rig_load(rig, "led"), &rig->err);
	rig_free_process(rig);
	assert_int_equal(count_fds(), fds);
	assert_string_equal(log_caught(), "");
}

static void the_end_of_the_spawner_is_told(void **state)
{
	struct rig *rig = *state;
	char path[64];
	unsigned int parent = 0;
	char line[256];
	FILE *status;

	rig_run(rig, "led", NULL, "");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", rig->process->pidfd);
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "Pid: %u", &parent);
	fclose(status);
	snprintf(path, sizeof(path), "/proc/%u/status", parent);
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "PPid: %u", &parent);
	fclose(status);
	assert_int_equal(kill((pid_t)parent, SIGKILL), 0);
	for (int r = 0; r != -ECONNRESET;) {
		struct pollfd fd = { .fd = processes_fd(rig->set), .events = POLLIN };

		assert_int_equal(poll(&fd, 1, PATIENCE_S * 1000), 1);
		r = processes_mind(rig->set, &rig->err);
		assert_true(r == 0 || r == -ECONNRESET);
	}
}

static void the_core_may_have_as_many_descriptors_as_it_can(void **state)
{
	struct rlimit limit, low;
	struct processes *set;
	struct err err = ERR_NONE;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = (struct rlimit){ .rlim_cur = 64, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	must(processes_new(&set, &err), &err);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(low.rlim_cur, limit.rlim_max);
	processes_free(set);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_core_may_have_as_many_descriptors_as_it_can),
		RIG_TEST(a_declaration_is_what_a_thread_would_find),
		RIG_TEST(a_file_that_is_no_plugin_is_refused_before_it_is_loaded),
		RIG_TEST(what_cannot_be_loaded_says_so),
		RIG_TEST(a_register_keeps_what_is_written),
		RIG_TEST(claims_are_those_that_the_class_declares),
		RIG_TEST(a_refused_claim_is_the_error_of_create),
		RIG_TEST(an_access_that_the_plugin_refuses_gives_ones),
		RIG_TEST(writes_before_a_reset_belong_to_the_life_before),
		RIG_TEST(threads_do_not_get_each_others_values),
		RIG_TEST(events_come_home),
		RIG_TEST(the_last_event_comes_however_many_there_are),
		RIG_TEST(lines_of_the_plugin_are_logged),
		RIG_TEST(a_failed_create_says_why),
		RIG_TEST(a_failed_start_says_why),
		RIG_TEST(metrics_are_those_of_the_device),
		RIG_TEST(states_are_the_same_in_both_placements),
		RIG_TEST(bytes_that_are_no_state_are_refused),
		RIG_TEST(a_device_at_rest_answers_no_access),
		RIG_TEST(nothing_is_left_of_many),
		RIG_TEST(a_process_that_only_loaded_can_be_freed),
		RIG_TEST(the_end_of_the_spawner_is_told),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
