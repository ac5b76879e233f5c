/* SPDX-License-Identifier: BSD-3-Clause */
/* The round trip of a device's state: fakehost_check_state() of fakehost.h. */
#include "fakehost_impl.h"

#include <stdlib.h>
#include <string.h>

#define TAG_OF_NOBODY UINT32_C(0x7fffdead)

static int complain(struct fakehost_dev *dev, int error, const char *what)
{
	fake_log(dev->host, dev, BP_LOG_ERROR, "state: %s: %s", what, strerror(-error));
	return error;
}

/* Saves and compares with what must come. */
static int save_again(struct fakehost_dev *dev, const struct fakehost_bytes *expected)
{
	struct fakehost_bytes again;
	int r = fakehost_save(dev, &again);

	if (r < 0)
		return r;
	if (again.count != expected->count || memcmp(again.data, expected->data, again.count) != 0)
		r = -EBADMSG;
	fakehost_bytes_free(&again);
	return r;
}

static int copy(const struct fakehost_bytes *from, struct fakehost_bytes *ret)
{
	uint8_t *data = malloc(from->count);

	if (!data)
		return -ENOMEM;
	memcpy(data, from->data, from->count);
	*ret = (struct fakehost_bytes){ .data = data, .count = from->count };
	return 0;
}

/* Loads a state that has one field too few or too many, and then the right one: it must arrive untouched by the other. A load without a
 * field may succeed, if the device has a default for it. */
static int after_spoilt(struct fakehost_dev *dev, const struct fakehost_bytes *good, size_t drop, bool *ret_more)
{
	struct fakehost_bytes spoilt;
	uint32_t tag = 0;
	int r = copy(good, &spoilt);

	if (r < 0)
		return r;
	*ret_more = fake_state_tag(good, drop, &tag);
	r = *ret_more ? fakehost_bytes_drop(&spoilt, tag) : fakehost_bytes_uint(&spoilt, TAG_OF_NOBODY, 1);
	if (!r) {
		int loaded = fakehost_restore(dev, &spoilt);

		if (!*ret_more && loaded >= 0)
			r = -EBADMSG;
	}
	fakehost_bytes_free(&spoilt);
	if (r < 0)
		return r;
	r = fakehost_restore(dev, good);
	return r < 0 ? r : save_again(dev, good);
}

/* The second instance's part. */
static int second(struct fakehost_dev *dev, const struct fakehost_bytes *good, const char **ret_what)
{
	bool more = true;
	int r;

	*ret_what = "the second instance does not start";
	r = fakehost_start(dev);
	if (!r)
		r = fakehost_quiesce(dev);
	if (r < 0)
		return r;
	*ret_what = "it cannot be loaded";
	r = fakehost_restore(dev, good);
	if (r < 0)
		return r;
	*ret_what = "what was loaded is not what was saved";
	r = save_again(dev, good);
	if (r < 0)
		return r;
	*ret_what = "a state with a field too few or too many has done harm";
	for (size_t drop = 0; more; drop++) {
		r = after_spoilt(dev, good, drop, &more);
		if (r < 0)
			return r;
	}
	*ret_what = "the second instance cannot go on";
	return fakehost_resume(dev);
}

/* Makes the second instance, on a host of its own: addresses would be taken on this one. */
static int round_trip(struct fakehost_dev *dev, const struct fakehost_bytes *good)
{
	const char *what = "no second instance";
	struct fakehost_pair *pairs;
	struct fakehost_dev *other;
	struct fakehost *host;
	int r = fakehost_new(dev->host->ram_bytes, &host);

	if (r < 0)
		return r;
	memcpy(host->ram, dev->host->ram, host->ram_bytes);
	host->now_ns = dev->host->now_ns;
	host->real_ns = dev->host->real_ns;
	host->start_ns = dev->host->start_ns;
	host->vcpus = dev->host->vcpus;
	host->columns = dev->host->columns;
	host->rows = dev->host->rows;
	/* A file can be locked for one of them only. */
	host->lender = dev;
	pairs = calloc(dev->pair_count + 1, sizeof(*pairs));
	r = -ENOMEM;
	if (pairs) {
		memcpy(pairs, dev->pairs, dev->pair_count * sizeof(*pairs));
		r = fakehost_create(host, &dev->class_table, dev->id, pairs, &other);
	}
	if (!r)
		r = second(other, good, &what);
	free(pairs);
	while (host->devices)
		fakehost_destroy(host->devices);
	if (!r && host->breaches) {
		what = "the second instance has broken the contract";
		r = -EPROTO;
	}
	for (const struct fake_line *line = r < 0 ? host->lines : NULL; line; line = line->next)
		fake_log(dev->host, dev, line->level, "second instance: %s", line->text);
	fakehost_free(host);
	return r < 0 ? complain(dev, r, what) : 0;
}

int fakehost_check_state(struct fakehost_dev *dev)
{
	struct fakehost_bytes good;
	int r = fakehost_quiesce(dev);

	if (r < 0)
		return complain(dev, r, "it cannot be quiesced");
	r = fakehost_save(dev, &good);
	if (r < 0) {
		complain(dev, r, "it cannot be saved");
		goto out;
	}
	r = save_again(dev, &good);
	if (r < 0)
		complain(dev, r, "saved twice, it is not the same");
	else
		r = round_trip(dev, &good);
	fakehost_bytes_free(&good);
out:
	fakehost_resume(dev);
	return r;
}
