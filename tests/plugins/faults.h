/* SPDX-License-Identifier: BSD-3-Clause */
/* How a plugin can fail, for tests/plugins/faulty.c. Compiled with -DFAULTY_CONSTRUCTOR=FAULT_X it does so when it is loaded. */
#ifndef TESTS_PLUGINS_FAULTS_H
#define TESTS_PLUGINS_FAULTS_H

struct bp_dev;

/* How, in the order of `faults`. */
enum fault {
	FAULT_SEGV,
	FAULT_ABORT,
	FAULT_EXIT0,
	FAULT_EXIT1,
	FAULT_HANG,     /* for ever */
	FAULT_FREEZE,   /* the whole process */
	FAULT_SCRIBBLE, /* into what the runtime keeps of the device */
	FAULT_CLOSE,    /* all of its descriptors */
	FAULT_GARBAGE,  /* to every socket that it finds */
	FAULT_LIE,      /* answers that nobody has asked for, of the right length */
	FAULT_FLOOD,    /* lines for the log, from a thread of its own, for as long as it lives */
	FAULT_BOMB,     /* descriptors, many at a time, to every socket */
	FAULT_TWICE,    /* request: completes it twice */
	FAULT_KEEP,     /* request: never completes it */
	FAULT_FAIL,     /* the callback's result, where it has one */
	FAULTS
};

/* Their names; NULL at the end. */
extern const char *const faults[];

/* Returns if the fault is one that a callback can live with: all from FAULT_SCRIBBLE on, of which those from
 * FAULT_TWICE on are the callback's own to make. `dev` is NULL in a constructor. */
void fault_make(enum fault how, struct bp_dev *dev);

#endif
