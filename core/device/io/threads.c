/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine of threads, and the pool that it is made of, which the others use for what the kernel has no asynchronous call
 * for. A thread takes a request and does all of its steps. The done list is told of by an eventfd when it stops being empty, so
 * that a batch costs one write.
 */
#include "core/base/fd.h"
#include "core/device/io/internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct io_pool {
	struct io_engine *engine;
	int event_fd;           /* borrowed */
	unsigned int in_flight; /* the engine's side only */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct io_list jobs; /* under lock, as what follows */
	struct io_list done;
	unsigned int idle;
	bool stop;
	_Atomic(bool) any_done;
	unsigned int thread_count;
	pthread_t threads[IO_THREADS];
};

static void *pool_thread(void *arg)
{
	struct io_pool *pool = arg;
	struct io_request *request;
	bool first;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		request = io_list_take(&pool->jobs);
		if (!request) {
			if (pool->stop)
				break;
			pool->idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->idle--;
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		io_request_run(pool->engine, request);
		pthread_mutex_lock(&pool->lock);
		first = !pool->done.first;
		io_list_add(&pool->done, request);
		atomic_store_explicit(&pool->any_done, true, memory_order_relaxed);
		/* Under the lock: nobody has taken it, so the engine still drains and the eventfd is open. */
		if (first)
			fd_event_signal(pool->event_fd);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static int start_threads(struct io_pool *pool, unsigned int threads)
{
	sigset_t all, before;
	int r = 0;

	/* Signals are for the main thread and the vCPUs. SIGXFSZ, which a write beyond a limit raises, stays pending. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (!r && pool->thread_count < threads) {
		r = pthread_create(&pool->threads[pool->thread_count], NULL, pool_thread, pool);
		if (!r) {
			pthread_setname_np(pool->threads[pool->thread_count], "io");
			pool->thread_count++;
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int io_pool_new(struct io_engine *engine, unsigned int threads, int event_fd, struct io_pool **ret, struct err *err)
{
	struct io_pool *pool = calloc(1, sizeof(*pool));
	int r;

	if (!pool)
		return err_set(err, -ENOMEM, "%s: no memory", engine->mechanism->name);
	pool->engine = engine;
	pool->event_fd = event_fd;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	r = start_threads(pool, threads);
	if (r) {
		io_pool_free(pool);
		return err_sys(err, r, "%s: cannot start a thread", engine->mechanism->name);
	}
	*ret = pool;
	return 0;
}

void io_pool_free(struct io_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void io_pool_add(struct io_pool *pool, struct io_list *list)
{
	struct io_request *request;
	unsigned int wake;

	if (!list->first)
		return;
	pthread_mutex_lock(&pool->lock);
	wake = pool->idle;
	while ((request = io_list_take(list))) {
		io_list_add(&pool->jobs, request);
		pool->in_flight++;
		if (wake) {
			pthread_cond_signal(&pool->work);
			wake--;
		}
	}
	pthread_mutex_unlock(&pool->lock);
}

void io_pool_collect(struct io_pool *pool)
{
	struct io_list done;
	struct io_request *request;

	pthread_mutex_lock(&pool->lock);
	done = pool->done;
	pool->done = (struct io_list){ .first = NULL };
	atomic_store_explicit(&pool->any_done, false, memory_order_relaxed);
	pthread_mutex_unlock(&pool->lock);
	while ((request = io_list_take(&done))) {
		pool->in_flight--;
		io_finish(pool->engine, request);
	}
}

unsigned int io_pool_in_flight(const struct io_pool *pool)
{
	return pool->in_flight;
}

bool io_pool_ready(struct io_pool *pool)
{
	return atomic_load_explicit(&pool->any_done, memory_order_relaxed);
}

/* ---- the engine ---- */

struct threads {
	int event_fd;
	struct io_pool *pool;
};

static int threads_init(struct io_engine *engine, struct err *err)
{
	struct threads *threads = calloc(1, sizeof(*threads));
	int r;

	if (!threads)
		return err_set(err, -ENOMEM, "threads: no memory");
	threads->event_fd = fd_event();
	if (threads->event_fd < 0) {
		r = err_sys(err, threads->event_fd, "threads: cannot make an eventfd");
		goto fail_state;
	}
	r = io_pool_new(engine, IO_THREADS, threads->event_fd, &threads->pool, err);
	if (r)
		goto fail_event;
	engine->state = threads;
	return 0;
fail_event:
	close(threads->event_fd);
fail_state:
	free(threads);
	return r;
}

static void threads_destroy(struct io_engine *engine)
{
	struct threads *threads = engine->state;

	io_pool_free(threads->pool);
	close(threads->event_fd);
	free(threads);
}

static int threads_fd(const struct io_engine *engine)
{
	const struct threads *threads = engine->state;

	return threads->event_fd;
}

static bool threads_ready(const struct io_engine *engine)
{
	const struct threads *threads = engine->state;

	return io_pool_ready(threads->pool);
}

static void threads_start(struct io_engine *engine)
{
	struct threads *threads = engine->state;

	io_pool_add(threads->pool, &engine->queued);
}

static void threads_collect(struct io_engine *engine, bool wait)
{
	struct threads *threads = engine->state;
	struct pollfd poll_fd = { .fd = threads->event_fd, .events = POLLIN };

	if (wait)
		poll(&poll_fd, 1, -1);
	/* Before the list is taken: what is added later signals again. */
	fd_event_clear(threads->event_fd);
	io_pool_collect(threads->pool);
}

const struct io_mechanism io_mechanism_threads = {
	.name = "threads",
	.init = threads_init,
	.destroy = threads_destroy,
	.fd = threads_fd,
	.ready = threads_ready,
	.start = threads_start,
	.collect = threads_collect,
};
