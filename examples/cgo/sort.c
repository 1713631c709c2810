#include "_cgo_export.h"
#include "work.h"

/* Shell sort instead of libc's qsort: libc has no frame pointers, so callchains would end in qsort. */
void sort_with_go(int32_t *numbers, size_t count) {
	for (size_t gap = count / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
		for (size_t i = gap; i < count; i++) {
			int32_t value = numbers[i];
			size_t j = i;
			for (; j >= gap && goCompare(value, numbers[j - gap]) < 0; j -= gap)
				numbers[j] = numbers[j - gap];
			numbers[j] = value;
		}
}
