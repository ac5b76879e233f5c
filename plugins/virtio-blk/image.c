/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking at a disk's image; see image.h. */
#include "image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROBE_BYTES   4096

/* For a second, in which the one who has the lock may end. */
#define LOCK_TRIES    51
#define LOCK_PAUSE_NS 20000000

/* Formats that a guest would take for garbage, or worse: that it could write into a raw disk to make another program read the host's files.
 * So none is ever guessed. `at` is from the start, or from the end if negative. */
static const struct {
	const char *name;
	int at;
	uint32_t bytes;
	const char *magic;
} formats[] = {
	{ "qcow2 or qcow", 0, 4, "QFI\xfb" },
	{ "QED", 0, 4, "QED\0" },
	{ "VMDK", 0, 4, "KDMV" },
	{ "VMDK", 0, 4, "COWD" },
	{ "VMDK", 0, 21, "# Disk DescriptorFile" },
	{ "VHDX", 0, 8, "vhdxfile" },
	{ "VHD", 0, 8, "conectix" },
	{ "VHD", -512, 8, "conectix" },
	{ "VDI", 0x40, 4, "\x7f\x10\xda\xbe" },
	{ "Parallels", 0, 16, "WithoutFreeSpace" },
	{ "Parallels", 0, 16, "WithouFreSpacExt" },
	{ "Bochs", 0, 18, "Bochs Virtual HD I" },
	{ "UDIF", -512, 4, "koly" },
};

/* A process that has been killed while io of io_uring is under way keeps its files, and so their locks, until that io has ended: a moment
 * after it is gone for all to see. Whoever starts the machine anew at once is to find its disk free. */
static int take_lock(struct bp_dev *dev, const struct image_spec *spec)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	struct flock lock = { .l_type = spec->readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	for (int tries = 1;; tries++) {
		if (fcntl(spec->fd, F_OFD_SETLK, &lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return bp_fail(dev, -errno, "cannot lock \"%s\": %s", spec->path, strerror(errno));
		if (tries == LOCK_TRIES)
			return bp_fail(dev, -EBUSY, "\"%s\" is in use by another machine or program%s", spec->path,
				       spec->readonly ? ", which writes to it" : "");
		nanosleep(&pause, NULL);
	}
}

/* What the first and last bytes say. */
static int check_format(struct bp_dev *dev, const struct image_spec *spec, uint64_t bytes)
{
	uint8_t head[PROBE_BYTES] = { 0 }, tail[512] = { 0 };

	if (pread(spec->fd, head, sizeof(head), 0) < 0 ||
	    (bytes >= sizeof(tail) && pread(spec->fd, tail, sizeof(tail), (off_t)(bytes - sizeof(tail))) < 0))
		return bp_fail(dev, -errno, "cannot read \"%s\": %s", spec->path, strerror(errno));
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const uint8_t *at = formats[i].at < 0 ? tail : head + formats[i].at;

		if (!memcmp(at, formats[i].magic, formats[i].bytes))
			return bp_fail(
			    dev, -EMEDIUMTYPE,
			    "\"%s\" looks like a %s image, and only raw ones can be used: convert it, or say "
			    "format = \"raw\" if these bytes are what the guest is to see",
			    spec->path, formats[i].name);
	}
	return 0;
}

static uint32_t power_of_two(uint64_t value, uint32_t otherwise)
{
	return value && value <= (1u << 30) && !(value & (value - 1)) ? (uint32_t)value : otherwise;
}

static int measure_device(struct bp_dev *dev, const struct image_spec *spec, struct image *image)
{
	int logical = 0;
	unsigned int physical = 0, optimal = 0;

	if (ioctl(spec->fd, BLKGETSIZE64, &image->bytes) < 0 || ioctl(spec->fd, BLKSSZGET, &logical) < 0)
		return bp_fail(dev, -errno, "cannot measure \"%s\": %s", spec->path, strerror(errno));
	image->block_bytes = power_of_two((uint64_t)logical, 512);
	if (ioctl(spec->fd, BLKPBSZGET, &physical) == 0)
		image->physical_bytes = power_of_two(physical, image->block_bytes);
	if (ioctl(spec->fd, BLKIOOPT, &optimal) == 0)
		image->optimal_bytes = optimal;
	image->discard = 1;
	return 0;
}

static void measure_file(const struct image_spec *spec, const struct stat *st, struct image *image)
{
	image->bytes = (uint64_t)st->st_size;
	image->block_bytes = 512;
	/* A file system works in blocks of its own, and reads and writes a whole one for a part of it. */
	image->physical_bytes = power_of_two((uint64_t)st->st_blksize, 4096);
	if (image->physical_bytes > 65536)
		image->physical_bytes = 4096;
	image->discard = 1;
#ifdef STATX_DIOALIGN
	if (spec->direct) {
		struct statx stx;

		/* A file on a disk with sectors of 4096 bytes takes no others past the page cache. */
		if (statx(spec->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 && (stx.stx_mask & STATX_DIOALIGN) &&
		    stx.stx_dio_offset_align > 512)
			image->block_bytes = 4096;
	}
#else
	(void)spec;
#endif
}

/* The block size that the deployer wants, if the image can have it, and a size that fits. */
static int check_geometry(struct bp_dev *dev, const struct image_spec *spec, struct image *image)
{
	if (spec->block_bytes && spec->block_bytes < image->block_bytes)
		return bp_fail(dev, -EINVAL, "block_size is %" PRIu32 ", and \"%s\" takes nothing below %" PRIu32,
			       spec->block_bytes, spec->path, image->block_bytes);
	if (spec->block_bytes)
		image->block_bytes = spec->block_bytes;
	if (image->block_bytes != 512 && image->block_bytes != 4096)
		return bp_fail(dev, -EINVAL,
			       "\"%s\" has blocks of %" PRIu32 " bytes, and only 512 and 4096 can be used", spec->path,
			       image->block_bytes);
	if (image->physical_bytes < image->block_bytes)
		image->physical_bytes = image->block_bytes;
	if (!image->bytes)
		return bp_fail(dev, -EINVAL, "\"%s\" is empty", spec->path);
	if (image->bytes % image->block_bytes)
		return bp_fail(dev, -EINVAL,
			       "\"%s\" has %" PRIu64 " bytes, which is not a multiple of its block size, %" PRIu32
			       ": the guest could not reach the rest",
			       spec->path, image->bytes, image->block_bytes);
	if (image->bytes > INT64_MAX - 4096)
		return bp_fail(dev, -EFBIG, "\"%s\" is too large", spec->path);
	return 0;
}

static int set_direct(struct bp_dev *dev, const struct image_spec *spec)
{
	int flags = fcntl(spec->fd, F_GETFL);

	if (flags < 0 || fcntl(spec->fd, F_SETFL, flags | O_DIRECT) < 0)
		return bp_fail(dev, -errno, "direct is not possible with \"%s\": %s", spec->path, strerror(errno));
	return 0;
}

int image_open(struct bp_dev *dev, const struct image_spec *spec, struct image *ret)
{
	struct image image = { .fd = spec->fd };
	struct stat st;
	int r;

	if (fstat(spec->fd, &st) < 0)
		return bp_fail(dev, -errno, "cannot measure \"%s\": %s", spec->path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return bp_fail(dev, -EINVAL, "\"%s\" is neither a file nor a block device", spec->path);
	r = take_lock(dev, spec);
	if (r < 0)
		return r;
	if (S_ISBLK(st.st_mode)) {
		r = measure_device(dev, spec, &image);
		if (r < 0)
			return r;
	} else {
		measure_file(spec, &st, &image);
	}
	r = check_geometry(dev, spec, &image);
	if (r == 0 && !spec->raw)
		r = check_format(dev, spec, image.bytes);
	if (r == 0 && spec->direct)
		r = set_direct(dev, spec);
	if (r < 0)
		return r;
	*ret = image;
	return 0;
}
