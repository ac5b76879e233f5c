#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes configure and Makefile.in; run it once after a checkout, and after configure.ac changed.
set -e
cd "$(dirname "$0")"
mkdir -p build/m4 build/aux
exec autoreconf --install --force --warnings=all
