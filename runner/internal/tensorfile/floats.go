package tensorfile

import (
	"encoding/binary"
	"math"
	"sync"
)

// half holds the float32 of every F16 number.
var half = sync.OnceValue(func() *[1 << 16]float32 {
	var table [1 << 16]float32
	for i := range table {
		sign, exponent, fraction := uint32(i)>>15, uint32(i)>>10&0x1f, uint32(i)&0x3ff
		switch exponent {
		case 0: // zero and the numbers below the smallest normal one
			table[i] = float32(math.Ldexp(float64(fraction), -24))
			if sign == 1 {
				table[i] = -table[i]
			}
		case 0x1f: // infinities and what is no number
			table[i] = math.Float32frombits(sign<<31 | 0xff<<23 | fraction<<13)
		default:
			table[i] = math.Float32frombits(sign<<31 | (exponent+127-15)<<23 | fraction<<13)
		}
	}
	return &table
})

// Float32s writes elements as Read gives them, of a type that is Float, into dst
// as float32. An F64 is rounded, the others are exact.
func Float32s(dst []float32, raw []byte, dtype DType) {
	switch dtype {
	case F16:
		table := half()
		for i := range dst {
			dst[i] = table[binary.LittleEndian.Uint16(raw[2*i:])]
		}
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	}
}

// Append appends values as elements of a type that is Float, rounded to the nearest
// where it has fewer digits, of two as near to the even one.
func Append(dst []byte, values []float32, dtype DType) []byte {
	for _, x := range values {
		bits := math.Float32bits(x)
		switch dtype {
		case F16:
			dst = binary.LittleEndian.AppendUint16(dst, float16(x))
		case BF16:
			if x != x { // its payload may be in the half that goes
				bits |= 1 << 22
			} else {
				bits += 0x7fff + bits>>16&1
			}
			dst = binary.LittleEndian.AppendUint16(dst, uint16(bits>>16))
		case F32:
			dst = binary.LittleEndian.AppendUint32(dst, bits)
		case F64:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(x)))
		}
	}
	return dst
}

// float16 is x as an F16 number.
func float16(x float32) uint16 {
	sign := uint16(math.Float32bits(x) >> 16 & 0x8000)
	const largest = 65520 // from here on the nearest is infinite
	switch x = max(x, -x); {
	case x != x:
		return sign | 0x7e00
	case x >= largest:
		return sign | 0x7c00
	case x < 0x1p-14: // a multiple of 2⁻²⁴; the smallest normal one follows the last of them
		return sign | uint16(math.RoundToEven(float64(x)*0x1p24))
	}
	// The exponent moves by the difference of biases; a carry out of the fraction
	// goes into it, as it must.
	bits := math.Float32bits(x) - (127-15)<<23
	return sign | uint16((bits+0xfff+bits>>13&1)>>13)
}
