#include "work.h"

static int stays_bounded(double re, double im, int limit) {
	double x = 0, y = 0;
	for (int step = 0; step < limit; step++) {
		double next = x * x - y * y + re;
		y = 2 * x * y + im;
		x = next;
		if (x * x + y * y > 4)
			return 0;
	}
	return 1;
}

int mandelbrot_inside(int width, int height, int limit) {
	int inside = 0;
	for (int row = 0; row < height; row++)
		for (int column = 0; column < width; column++)
			inside += stays_bounded(-2.0 + 3.0 * column / width, -1.0 + 2.0 * row / height, limit);
	return inside;
}
