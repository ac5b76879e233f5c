/* SPDX-License-Identifier: BSD-3-Clause */
/* The protocol of file.h: each request that one regular file can get has a function here. */
#include "file.h"

#include "log.h"

#include "core/base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES_MAX        (CRASH_DATA_MAX / 4096)
#define REQUEST_BYTES    (CRASH_DATA_MAX + 4096u)
#define REPLY_BYTES      (CRASH_DATA_MAX + sizeof(struct fuse_out_header))
#define FOREVER_S        86400u /* nobody else changes the attributes */

/* An answer in the making: the reply's body, and its bytes, or a negative error. */
#define BODY(file, type) ((struct type *)(void *)((file)->reply + sizeof(struct fuse_out_header)))

int crash_file_mount(struct crash_file *file, const char *path, int image, uint64_t image_bytes, FILE *log)
{
	char options[128];
	int r;

	*file = (struct crash_file){ .image = image, .image_bytes = image_bytes, .log = log };
	file->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (file->fd < 0)
		return -errno;
	file->request = aligned_alloc(16, REQUEST_BYTES);
	file->reply = aligned_alloc(16, (REPLY_BYTES + 15) & ~15u);
	if (!file->request || !file->reply) {
		r = -ENOMEM;
		goto fail;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=%u,group_id=%u", file->fd, S_IFREG | 0600u,
		 getuid(), getgid());
	if (mount("recorder", path, "fuse.recorder", MS_NOSUID | MS_NODEV, options) < 0) {
		r = -errno;
		goto fail;
	}
	return 0;
fail:
	free(file->request);
	free(file->reply);
	close(file->fd);
	return r;
}

void crash_file_unmount(struct crash_file *file, const char *path)
{
	umount2(path, MNT_DETACH);
	free(file->request);
	free(file->reply);
	close(file->fd);
}

static ssize_t do_init(struct crash_file *file, const struct fuse_init_in *in)
{
	struct fuse_init_out *out = BODY(file, fuse_init_out);

	if (in->major != FUSE_KERNEL_VERSION)
		return -EPROTO;
	*out = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO),
		.max_background = 16,
		.congestion_threshold = 12,
		.max_write = CRASH_DATA_MAX,
		.time_gran = 1,
		.max_pages = PAGES_MAX,
	};
	return sizeof(*out);
}

static ssize_t do_getattr(struct crash_file *file)
{
	struct fuse_attr_out *out = BODY(file, fuse_attr_out);

	*out = (struct fuse_attr_out){
		.attr_valid = FOREVER_S,
		.attr = {
			.ino = FUSE_ROOT_ID,
			.size = file->image_bytes,
			.blocks = file->image_bytes / CRASH_SECTOR,
			.mode = S_IFREG | 0600,
			.nlink = 1,
			.uid = getuid(),
			.gid = getgid(),
			.blksize = 4096,
		},
	};
	return sizeof(*out);
}

static ssize_t do_setattr(struct crash_file *file, const struct fuse_setattr_in *in)
{
	return in->valid & FATTR_SIZE && in->size != file->image_bytes ? -EPERM : do_getattr(file);
}

static ssize_t do_open(struct crash_file *file)
{
	struct fuse_open_out *out = BODY(file, fuse_open_out);

	*out = (struct fuse_open_out){ 0 };
	return sizeof(*out);
}

static ssize_t do_statfs(struct crash_file *file)
{
	struct fuse_statfs_out *out = BODY(file, fuse_statfs_out);

	*out = (struct fuse_statfs_out){ .st = { .bsize = 4096, .frsize = 4096, .namelen = 255 } };
	return sizeof(*out);
}

static ssize_t do_read(struct crash_file *file, const struct fuse_read_in *in)
{
	ssize_t got;

	if (in->size > CRASH_DATA_MAX)
		return -EINVAL;
	got = pread(file->image, BODY(file, fuse_out_header), in->size, (off_t)in->offset);
	return got < 0 ? -errno : got;
}

static ssize_t do_write(struct crash_file *file, const struct fuse_write_in *in, size_t bytes)
{
	struct fuse_write_out *out = BODY(file, fuse_write_out);
	ssize_t wrote;
	int r;

	if (in->size > bytes - sizeof(*in) || in->size > CRASH_DATA_MAX)
		return -EINVAL;
	if (!range_within(in->offset, in->size, file->image_bytes))
		return -EFBIG;
	wrote = pwrite(file->image, in + 1, in->size, (off_t)in->offset);
	if (wrote != (ssize_t)in->size)
		return wrote < 0 ? -errno : -ENOSPC;
	r = crash_log_add(file->log, CRASH_WRITE, in->offset, in->size, in + 1);
	*out = (struct fuse_write_out){ .size = in->size };
	return r < 0 ? r : (ssize_t)sizeof(*out);
}

/* Holes and zeroes are the same to whoever reads. */
static ssize_t do_fallocate(struct crash_file *file, const struct fuse_fallocate_in *in)
{
	uint32_t how = in->mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE;

	if (how != FALLOC_FL_PUNCH_HOLE && how != FALLOC_FL_ZERO_RANGE)
		return -EOPNOTSUPP;
	if (!range_within(in->offset, in->length, file->image_bytes))
		return -EFBIG;
	if (fallocate(file->image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)in->offset, (off_t)in->length) <
	    0)
		return -errno;
	return crash_log_add(file->log, CRASH_ZERO, in->offset, in->length, NULL);
}

/* What a request's body must have at least. */
static size_t body_bytes(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_INIT:
		return FUSE_COMPAT_INIT_OUT_SIZE;
	case FUSE_SETATTR:
		return sizeof(struct fuse_setattr_in);
	case FUSE_READ:
		return sizeof(struct fuse_read_in);
	case FUSE_WRITE:
		return sizeof(struct fuse_write_in);
	case FUSE_FALLOCATE:
		return sizeof(struct fuse_fallocate_in);
	default:
		return 0;
	}
}

/* The bytes of the reply's body, or -errno for the one who asked; *dead if it is for the recorder itself. */
static ssize_t answer(struct crash_file *file, uint32_t opcode, const void *body, size_t bytes, bool *dead)
{
	ssize_t r;

	if (bytes < body_bytes(opcode))
		return -EINVAL;
	switch (opcode) {
	case FUSE_INIT:
		return do_init(file, body);
	case FUSE_GETATTR:
		return do_getattr(file);
	case FUSE_SETATTR:
		return do_setattr(file, body);
	case FUSE_OPEN:
		return do_open(file);
	case FUSE_STATFS:
		return do_statfs(file);
	case FUSE_READ:
		return do_read(file, body);
	case FUSE_WRITE:
		r = do_write(file, body, bytes);
		break;
	case FUSE_FALLOCATE:
		r = do_fallocate(file, body);
		break;
	case FUSE_FSYNC:
		r = crash_log_add(file->log, CRASH_FLUSH, 0, 0, NULL);
		break;
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		return 0;
	default:
		return -ENOSYS;
	}
	*dead = r == -EIO;
	return r;
}

int crash_file_serve(struct crash_file *file)
{
	const struct fuse_in_header *in = (const void *)file->request;
	struct fuse_out_header *out = (void *)file->reply;
	bool dead = false;
	ssize_t got, r;

	got = read(file->fd, file->request, REQUEST_BYTES);
	if (got < 0)
		return errno == ENODEV ? 0 : errno == EINTR || errno == ENOENT || errno == EAGAIN ? 1 : -errno;
	if ((size_t)got < sizeof(*in) || in->len != (size_t)got)
		return -EPROTO;
	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET)
		return 1;
	r = answer(file, in->opcode, in + 1, (size_t)got - sizeof(*in), &dead);
	if (dead)
		return (int)r;
	*out = (struct fuse_out_header){
		.len = (uint32_t)(sizeof(*out) + (r > 0 ? (size_t)r : 0)),
		.error = r < 0 ? (int)r : 0,
		.unique = in->unique,
	};
	/* ENOENT: nobody waits for it any more. */
	if (write(file->fd, out, out->len) < 0 && errno != ENOENT)
		return errno == ENODEV ? 0 : -errno;
	return 1;
}
