#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>

/* Counts the points of a width x height grid over the Mandelbrot set that stay bounded for `limit` steps. */
int mandelbrot_inside(int width, int height, int limit);

/* Sorts in place, in the order of the Go function goCompare. */
void sort_with_go(int32_t *numbers, size_t count);

#endif
