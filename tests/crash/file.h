/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system that is one file, by the kernel's own protocol (linux/fuse.h): what is written to it goes to an image and into a log,
 * and so do flushes and zeroes. Everything on one thread, so that the log's order is that in which things happened. The kernel does
 * not hold writes back (no FUSE_WRITEBACK_CACHE): a write that returned to the program was answered here before.
 */
#ifndef TESTS_CRASH_FILE_H
#define TESTS_CRASH_FILE_H

#include <stdint.h>
#include <stdio.h>

struct crash_file {
	int fd;               /* of the connection, to poll for reading */
	int image;            /* borrowed */
	uint64_t image_bytes; /* a multiple of CRASH_SECTOR */
	FILE *log;            /* borrowed */
	uint8_t *request;     /* as large as one gets */
	uint8_t *reply;
};

/* Covers `path`, a file, with the one that is served from `image`, which stays open for reading and writing. Needs the right to mount.
 * 0, or -errno: -ENOENT without /dev/fuse, -EPERM without the right. */
int crash_file_mount(struct crash_file *file, const char *path, int image, uint64_t image_bytes, FILE *log);

/* Answers one request, and waits for it if there is none. 1, 0 when the file system is unmounted, or -errno, of the log too. */
int crash_file_serve(struct crash_file *file);

/* Uncovers `path`, and ends the connection: whoever still has the file open gets errors. */
void crash_file_unmount(struct crash_file *file, const char *path);

#endif
