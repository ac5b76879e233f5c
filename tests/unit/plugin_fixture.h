/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of the plugin that a test program is linked with, on the fake host. Included after cmocka's headers. */
#ifndef UNIT_PLUGIN_FIXTURE_H
#define UNIT_PLUGIN_FIXTURE_H

#include "sdk/check/fakehost.h"

extern const struct bp_plugin backplane_plugin;

/* A running device of a class; NULL for the first. */
static inline struct fakehost_dev *plugin_make(struct fakehost *host, const char *class_name, const char *id,
					       const struct fakehost_pair *values)
{
	const struct bp_device_class *class_table = fakehost_class(&backplane_plugin, class_name);
	struct fakehost_dev *dev;

	assert_non_null(class_table);
	assert_int_equal(fakehost_create(host, class_table, id, values, &dev), 0);
	assert_int_equal(fakehost_start(dev), 0);
	return dev;
}

static inline int plugin_setup(void **state)
{
	struct fakehost *host;

	assert_int_equal(fakehost_new(4096, &host), 0);
	*state = host;
	return 0;
}

/* Every test ends here: no device has ever broken the contract. */
static inline int plugin_teardown(void **state)
{
	struct fakehost *host = *state;
	uint32_t breaches = fakehost_breaches(host);

	for (uint32_t i = 0; breaches && fakehost_log_line(host, i, NULL); i++)
		print_error("%s\n", fakehost_log_line(host, i, NULL));
	fakehost_free(host);
	return breaches ? -1 : 0;
}

#define PLUGIN_TEST(name) cmocka_unit_test_setup_teardown(name, plugin_setup, plugin_teardown)

static inline uint8_t plugin_in(struct fakehost_dev *dev, uint32_t range, uint64_t offset)
{
	uint64_t val;

	assert_int_equal(fakehost_read(dev, range, offset, 1, &val), 0);
	return (uint8_t)val;
}

static inline void plugin_out(struct fakehost_dev *dev, uint32_t range, uint64_t offset, uint8_t value)
{
	assert_int_equal(fakehost_write(dev, range, offset, 1, value), 0);
}

static inline uint64_t plugin_metric(const struct fakehost_dev *dev, const char *name)
{
	uint64_t val;

	assert_int_equal(fakehost_metric(dev, name, &val), 0);
	return val;
}

/* The state round trip of the kit; its log if that fails. */
static inline void plugin_check_state(struct fakehost *host, struct fakehost_dev *dev)
{
	int r = fakehost_check_state(dev);

	for (uint32_t i = 0; r && fakehost_log_line(host, i, NULL); i++)
		print_error("%s\n", fakehost_log_line(host, i, NULL));
	assert_int_equal(r, 0);
}

/* Saves a device that runs and lets it go on. */
static inline struct fakehost_bytes plugin_save(struct fakehost_dev *dev)
{
	struct fakehost_bytes saved;

	assert_int_equal(fakehost_quiesce(dev), 0);
	assert_int_equal(fakehost_save(dev, &saved), 0);
	assert_int_equal(fakehost_resume(dev), 0);
	return saved;
}

/* Loads into a device that runs and lets it go on. */
static inline int plugin_load(struct fakehost_dev *dev, const struct fakehost_bytes *saved)
{
	int r;

	assert_int_equal(fakehost_quiesce(dev), 0);
	r = fakehost_restore(dev, saved);
	assert_int_equal(fakehost_resume(dev), 0);
	return r;
}

/* A state in which one number is another, which load must refuse. */
static inline void plugin_refuses(struct fakehost_dev *dev, const struct fakehost_bytes *good, uint32_t tag,
				  uint64_t value, int expected)
{
	struct fakehost_bytes spoilt = { .data = malloc(good->count), .count = good->count };

	assert_non_null(spoilt.data);
	memcpy(spoilt.data, good->data, good->count);
	assert_int_equal(fakehost_bytes_uint(&spoilt, tag, value), 0);
	assert_int_equal(plugin_load(dev, &spoilt), expected);
	fakehost_bytes_free(&spoilt);
}

/* Numbers that look random and are always the same. */
static inline uint32_t plugin_soup(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Accesses of any width at and around each offset of a range: those that the range does not take never reach the device, the others
 * succeed. */
static inline void plugin_accesses(struct fakehost_dev *dev, uint32_t range, uint64_t bytes, uint32_t widths)
{
	uint64_t val;

	for (uint64_t offset = 0; offset < bytes + 9; offset++) {
		for (uint32_t width = 1; width <= 8; width *= 2) {
			bool taken = (widths & width) && offset + width <= bytes && !(offset & (width - 1));

			assert_int_equal(fakehost_read(dev, range, offset, width, &val), taken ? 0 : -EACCES);
			assert_int_equal(fakehost_write(dev, range, offset, width, UINT64_MAX), taken ? 0 : -EACCES);
		}
	}
	assert_int_equal(fakehost_read(dev, range, UINT64_MAX, 1, &val), -EACCES);
	assert_int_equal(fakehost_read(dev, range, UINT64_MAX - 7, 8, &val), -EACCES);
}

#endif
