namespace work {
// More values than there are registers, so that an optimising compiler uses the frame pointer register too.
template <typename T> __attribute__((noinline)) T churn(T n) {
	T a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, i = 9, j = 10, k = 11, l = 12;
	for (T x = 0; x < n; x++) {
		a += b ^ x; b += c * 3; c ^= d + x; d += e; e ^= f * 5; f += g;
		g ^= h + a; h += i; i ^= j * 7; j += k; k ^= l + x; l += a;
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l;
}
}

extern "C" unsigned long compute(unsigned long n) { return work::churn(n); }
