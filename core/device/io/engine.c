/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine as its caller sees it: checks, lists and callbacks; see engine.h. The work is done by a mechanism. */
#include "core/device/io/engine.h"
#include "core/device/io/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const struct io_mechanism *const mechanisms[] = {
	[IO_URING] = &io_mechanism_uring,
	[IO_AIO] = &io_mechanism_aio,
	[IO_THREAD_POOL] = &io_mechanism_threads,
};
_Static_assert(sizeof(mechanisms) / sizeof(mechanisms[0]) == IO_KIND_COUNT, "one mechanism a kind");

const char *io_kind_name(enum io_kind kind)
{
	return mechanisms[kind]->name;
}

void io_list_add(struct io_list *list, struct io_request *request)
{
	request->next = NULL;
	if (list->last)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

struct io_request *io_list_take(struct io_list *list)
{
	struct io_request *request = list->first;

	if (request) {
		list->first = request->next;
		if (!list->first)
			list->last = NULL;
		request->next = NULL;
	}
	return request;
}

void io_finish(struct io_engine *engine, struct io_request *request)
{
	io_list_add(&engine->finished, request);
	atomic_store_explicit(&engine->any_finished, true, memory_order_relaxed);
}

void io_stepped(struct io_engine *engine, struct io_request *request, int64_t result)
{
	if (io_step_done(engine, request, result))
		io_finish(engine, request);
	else
		io_list_add(&engine->queued, request);
}

static int take_file(struct io_file *file, int fd, size_t index, const char *name, struct err *err)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return err_sys(err, -errno, "%s: file %zu", name, index);
	if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
		return err_set(err, -EINVAL, "%s: file %zu is neither a regular file nor a block device", name, index);
	*file = (struct io_file){ .fd = fd, .block = S_ISBLK(info.st_mode) };
	return 0;
}

int io_engine_new(const struct io_engine_spec *spec, struct io_engine **ret, struct err *err)
{
	struct io_engine *engine;
	int r;

	if ((unsigned int)spec->kind >= IO_KIND_COUNT || !spec->fd_count || spec->fd_count > IO_FILES_MAX ||
	    !spec->depth || spec->depth > IO_DEPTH_MAX || !spec->done)
		return err_set(err, -EINVAL, "an io engine with %zu files and a depth of %u cannot be", spec->fd_count,
			       spec->depth);
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return err_set(err, -ENOMEM, "%s: no memory", io_kind_name(spec->kind));
	engine->mechanism = mechanisms[spec->kind];
	engine->done = spec->done;
	engine->ctx = spec->ctx;
	engine->depth = spec->depth;
	engine->file_count = spec->fd_count;
	for (size_t i = 0; i < spec->fd_count; i++) {
		r = take_file(&engine->files[i], spec->fds[i], i, engine->mechanism->name, err);
		if (r)
			goto fail_files;
	}
	engine->zeroes = mmap(NULL, IO_ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (engine->zeroes == MAP_FAILED) {
		r = err_sys(err, -errno, "%s: no memory", engine->mechanism->name);
		goto fail_files;
	}
	for (size_t i = 0; i < IO_ZERO_SEGMENTS; i++)
		engine->zero_iov[i] = (struct iovec){ .iov_base = engine->zeroes, .iov_len = IO_ZERO_BYTES };
	r = engine->mechanism->init(engine, err);
	if (r)
		goto fail_mechanism;
	*ret = engine;
	return 0;
fail_mechanism:
	munmap(engine->zeroes, IO_ZERO_BYTES);
fail_files:
	free(engine);
	return r;
}

void io_engine_free(struct io_engine *engine)
{
	if (!engine)
		return;
	io_engine_drain(engine);
	engine->mechanism->destroy(engine);
	munmap(engine->zeroes, IO_ZERO_BYTES);
	free(engine);
}

int io_engine_fd(const struct io_engine *engine)
{
	return engine->mechanism->fd(engine);
}

bool io_engine_ready(const struct io_engine *engine)
{
	return atomic_load_explicit(&engine->any_finished, memory_order_relaxed) || engine->mechanism->ready(engine);
}

int io_engine_queue(struct io_engine *engine, struct io_request *request)
{
	int r = io_request_check(engine, request);

	if (r)
		return r;
	if (engine->in_flight >= engine->depth)
		return -EBUSY;
	request->result = 0;
	request->done_bytes = 0;
	request->segment_done = 0;
	request->segment = 0;
	request->retries = 0;
	request->method = request->flags & IO_MAY_UNMAP ? IO_ZERO_UNMAP : IO_ZERO_RANGE;
	engine->in_flight++;
	io_list_add(&engine->queued, request);
	return 0;
}

bool io_engine_submit(struct io_engine *engine)
{
	engine->mechanism->start(engine);
	return io_engine_ready(engine);
}

/* Those that are finished now; not those that `done` adds, so it ends. */
static size_t call_done(struct io_engine *engine)
{
	struct io_list list = engine->finished;
	struct io_request *request;
	size_t count = 0;

	engine->finished = (struct io_list){ .first = NULL };
	atomic_store_explicit(&engine->any_finished, false, memory_order_relaxed);
	while ((request = io_list_take(&list))) {
		engine->in_flight--;
		engine->done(engine->ctx, request);
		count++;
	}
	return count;
}

size_t io_engine_reap(struct io_engine *engine)
{
	engine->mechanism->collect(engine, false);
	engine->mechanism->start(engine);
	return call_done(engine);
}

void io_engine_drain(struct io_engine *engine)
{
	while (engine->in_flight) {
		engine->mechanism->start(engine);
		engine->mechanism->collect(engine, !engine->finished.first);
		call_done(engine);
	}
}

void io_engine_cancel(struct io_engine *engine)
{
	atomic_store_explicit(&engine->canceling, true, memory_order_relaxed);
	io_engine_drain(engine);
	atomic_store_explicit(&engine->canceling, false, memory_order_relaxed);
}

unsigned int io_engine_in_flight(const struct io_engine *engine)
{
	return engine->in_flight;
}
