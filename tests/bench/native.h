/* SPDX-License-Identifier: BSD-3-Clause */
/* What the native-* programs share: medians of paired ratios, and one line for each figure, as tests/bench/run reads it. */
#ifndef TESTS_BENCH_NATIVE_H
#define TESTS_BENCH_NATIVE_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* Rounds that count; one more comes before them and is thrown away. */
#define NATIVE_ROUNDS 7

static inline int native_compare(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* Sorts the values. */
static inline double native_median(double values[NATIVE_ROUNDS])
{
	qsort(values, NATIVE_ROUNDS, sizeof(double), native_compare);
	return values[NATIVE_ROUNDS / 2];
}

/* A ratio; its spread goes to standard error, for the reader. */
static inline void native_ratio(const char *id, const char *name, double ratios[NATIVE_ROUNDS])
{
	double median = native_median(ratios);

	printf("%s %s %.3f x\n", id, name, median);
	fprintf(stderr, "%s %s: %.3f to %.3f\n", id, name, ratios[0], ratios[NATIVE_ROUNDS - 1]);
}

#endif
