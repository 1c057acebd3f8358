package tensorfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmkit/glmkit/corpus"
	"github.com/glmkit/glmkit/runner/internal/tensorfile"
	"github.com/glmkit/glmkit/runner/internal/tensorfile/tensortest"
)

// values reads every tensor of real numbers.
func values(t *testing.T, path string) (map[string][]float32, *tensorfile.File) {
	t.Helper()
	f, err := tensorfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	out := map[string][]float32{}
	for name, x := range f.Tensors {
		if !x.DType.Float() {
			continue
		}
		raw := make([]byte, x.Bytes())
		if err := x.Read(raw); err != nil {
			t.Fatal(err)
		}
		out[name] = make([]float32, x.Elements())
		tensorfile.Float32s(out[name], raw, x.DType)
	}
	return out, f
}

// The files that PyTorch wrote (testdata/write.py).
func TestFilesOfPyTorch(t *testing.T) {
	got, f := values(t, "testdata/state.pt")
	want := map[string][]float32{"module.weight": {0, 1, 2, 3, 4, 5}, "module.bias": {-1.5, 0.25}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if f.Numbers["iteration"] != 7 || f.Tensors["module.weight"].DType != tensorfile.F16 {
		t.Errorf("iteration %d, %s", f.Numbers["iteration"], f.Tensors["module.weight"].DType)
	}

	got, f = values(t, "testdata/legacy.bin")
	want = map[string][]float32{"weight": {0, 1, 2, 3, 4, 5}, "bias": {-1.5, 0.25}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{2, 3}, f.Tensors["weight"].Shape); diff != "" {
		t.Error(diff)
	}

	got, f = values(t, "testdata/views.pt")
	base := make([]float32, 24)
	var transposed []float32
	for i := range base {
		base[i] = float32(i)
		transposed = append(transposed, float32(i%4*6+i/4))
	}
	want = map[string][]float32{
		"whole": base, "tied": base, "transposed": transposed, "rows": base[6:18],
		"columns": {2, 3, 4, 8, 9, 10, 14, 15, 16, 20, 21, 22}, "every": {0, 3, 12, 15},
		"parameter": base[:6], "double": base[:6], "brain": base[:6], "scalar": {2.5}, "empty": {},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if x := f.Tensors; !x["whole"].Same(x["tied"]) || x["whole"].Same(x["transposed"]) || x["rows"].Same(x["columns"]) {
		t.Error("tied names are the same elements, views of them are not")
	}
	if got := f.Tensors["ids"].DType; got != "I64" {
		t.Errorf("ids are %s", got)
	}
}

// What the tests of other packages write is what PyTorch writes.
func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.pt")
	weight := tensortest.Tensor{DType: tensorfile.F16, Shape: []int64{2, 1}, Data: []byte{0, 0x3c, 0, 0xc0}}
	var file bytes.Buffer
	if err := tensortest.Save(&file, map[string]any{"module": map[string]any{"w": weight}, "iteration": 3}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	got, f := values(t, path)
	if diff := cmp.Diff(map[string][]float32{"module.w": {1, -2}}, got); diff != "" {
		t.Error(diff)
	}
	if f.Numbers["iteration"] != 3 {
		t.Errorf("numbers %v", f.Numbers)
	}
}

// Every half is the number that IEEE 754 says.
func TestHalves(t *testing.T) {
	for bits := range 1 << 16 {
		var got [1]float32
		tensorfile.Float32s(got[:], binary.LittleEndian.AppendUint16(nil, uint16(bits)), tensorfile.F16)
		sign, exponent, fraction := 1.0, bits>>10&0x1f, float64(bits&0x3ff)
		if bits>>15 == 1 {
			sign = -1
		}
		want := sign * math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 0:
			want = sign * math.Ldexp(fraction/1024, -14)
		case exponent == 0x1f && fraction == 0:
			want = math.Inf(int(sign))
		case exponent == 0x1f:
			want = math.NaN()
		}
		if x := float64(got[0]); x != want && !(math.IsNaN(x) && math.IsNaN(want)) || math.Signbit(x) != (sign < 0) {
			t.Fatalf("%04x is %v, want %v", bits, got[0], want)
		}
	}
}

// archive is a zip of torch.save with this object and one storage of 16 bytes.
func archive(object func(p *tensortest.Pickle)) []byte {
	var p tensortest.Pickle
	p.WriteString("\x80\x02}(")
	p.Text("w")
	object(&p)
	p.WriteString("u.")
	return records(map[string][]byte{"data.pkl": p.Bytes(), "data/0": []byte(elements), "byteorder": []byte("little")})
}

// elements are the bytes of archive's storage.
const elements = "0123456789abcdef"

func records(r map[string][]byte) []byte {
	var out bytes.Buffer
	if err := tensortest.Archive(&out, r); err != nil {
		return nil
	}
	return out.Bytes()
}

// header is a safetensors file with a header and elements of so many bytes.
func header(text string, elements int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), make([]byte, elements)...)
}

func tensor(elements, offset int64, shape, stride []int64) func(*tensortest.Pickle) {
	return func(p *tensortest.Pickle) { p.Tensor("FloatStorage", "0", elements, offset, shape, stride) }
}

const huge = 1 << 60

// hostile files and what is said about each.
func hostile(t testing.TB) map[string]struct {
	content []byte
	want    string
} {
	whole := archive(tensor(4, 0, []int64{2, 2}, []int64{2, 1}))
	legacy, err := os.ReadFile("testdata/legacy.bin")
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[bytes.Index(damaged, []byte(elements))]++
	pickle := func(ops string) []byte { return records(map[string][]byte{"data.pkl": []byte(ops)}) }
	type file = struct {
		content []byte
		want    string
	}
	return map[string]file{
		"empty":             {nil, "is empty"},
		"text":              {[]byte("Lorem ipsum dolor sit amet"), "neither of torch.save nor safetensors"},
		"zip cut":           {whole[:len(whole)-30], "cut short"},
		"zip cut more":      {whole[:40], "cut short"},
		"zip of other":      {records(map[string][]byte{"a.txt": nil}), "has no data.pkl"},
		"damaged":           {damaged, "checksum"},
		"no storage":        {archive(func(p *tensortest.Pickle) { p.Tensor("FloatStorage", "1", 4, 0, []int64{4}, []int64{1}) }), `no record "data/1"`},
		"storage elsewhere": {archive(func(p *tensortest.Pickle) { p.Tensor("FloatStorage", "../0", 4, 0, []int64{4}, []int64{1}) }), "not the name of a storage"},
		"huge storage":      {archive(tensor(huge, 0, []int64{huge}, []int64{1})), "which has 16 bytes"},
		"overflowing bytes": {archive(tensor(1<<62+4, 0, []int64{4}, []int64{1})), "which has 16 bytes"},
		"negative storage":  {archive(tensor(-4, 0, []int64{4}, []int64{1})), "no key and number"},
		"huge view":         {archive(tensor(4, 0, []int64{huge}, []int64{0})), "in a storage of 4"},
		"overflowing shape": {archive(tensor(4, 0, []int64{1 << 32, 1 << 32}, []int64{0, 0})), "in a storage of 4"},
		"negative size":     {archive(tensor(4, 0, []int64{-2, 2}, []int64{2, 1})), "a tensor that is none"},
		"negative stride":   {archive(tensor(4, 3, []int64{4}, []int64{-1})), "a tensor that is none"},
		"negative offset":   {archive(tensor(4, -1, []int64{2}, []int64{1})), "from element -1"},
		"offset past end":   {archive(tensor(4, 5, []int64{0}, []int64{1})), "from element 5"},
		"view past end":     {archive(tensor(4, 2, []int64{3}, []int64{1})), "in a storage of 4"},
		"stride past end":   {archive(tensor(4, 0, []int64{2, 2}, []int64{3, 1})), "in a storage of 4"},
		"overflowing step":  {archive(tensor(4, 0, []int64{2, 2}, []int64{math.MaxInt64, math.MaxInt64})), "in a storage of 4"},
		"overlapping view":  {archive(tensor(4, 0, []int64{2, 2}, []int64{1, 1})), "in a storage of 4"},
		"expanded view":     {archive(tensor(4, 0, []int64{2, 2}, []int64{0, 1})), "in a storage of 4"},
		"many dimensions":   {archive(tensor(4, 0, make([]int64, 99), make([]int64, 99))), "a tensor that is none"},
		"code": {archive(func(p *tensortest.Pickle) {
			p.Class("os", "system")
			p.WriteString("(")
			p.Text("true")
			p.WriteString("tR")
		}), `asks for "os.system"`},
		"code of Python":     {archive(func(p *tensortest.Pickle) { p.Class("builtins", "eval") }), `asks for "builtins.eval"`},
		"a pickled model":    {pickle("\x80\x02cmodel\nGLM\n)\x81."), `asks for "model.GLM"`},
		"pickled module":     {pickle("\x80\x02ctorch.nn\nLinear\n)\x81}b."), "a Python object of torch.nn.Linear"},
		"no tensors":         {pickle("\x80\x02}."), "holds no tensors"},
		"a number":           {pickle("\x80\x02K\x01."), "holds a int64"},
		"nothing":            {pickle("\x80\x02"), "cut short"},
		"empty stack":        {pickle("\x80\x02."), "takes what it did not put"},
		"text past end":      {pickle("\x80\x02X\xff\xff\xff\xffabc"), "cut short"},
		"long text past end": {pickle("\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc"), "cut short"},
		"long number":        {pickle("\x80\x02\x8b\xff\xff\xff\x7f"), "cut short"},
		"marks":              {pickle("\x80\x02(((((R."), "takes a mark"},
		"no mark":            {pickle("\x80\x02t."), "lacks a mark"},
		"memo":               {pickle("\x80\x02h\x07."), "did not say"},
		"old opcode":         {pickle("\x80\x02I1\n."), "opcode 0x49"},
		"two objects":        {records(map[string][]byte{"data.pkl": nil, "x/data.pkl": nil}), "two objects"},
		"big endian":         {records(map[string][]byte{"data.pkl": nil, "byteorder": []byte("big")}), "byte order"},
		"key twice":          {pickle("\x80\x02}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu."), "twice"},
		"legacy cut":         {legacy[:len(legacy)-4], "cut short"},
		"legacy cut early":   {legacy[:40], "cut short"},
		"another pickle":     {[]byte("\x80\x02}."), "not of torch.save"},

		"header too long":  {[]byte("\xff\xff\xff\xff\xff\xff\xff\x7f{}"), "a header of 9223372036854775807 bytes"},
		"header of 2^64":   {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"), "a header of 18446744073709551615 bytes"},
		"header no JSON":   {header(`{"a":`, 0), "not JSON"},
		"no such type":     {header(`{"a":{"dtype":"F3","shape":[1],"data_offsets":[0,4]}}`, 4), "not that of safetensors"},
		"past end":         {header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4), "bytes 0 to 8 of 4"},
		"backwards":        {header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), "bytes 8 to 0"},
		"overlap":          {header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "the one before ends at 8"},
		"hole":             {header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "the one before ends at 0"},
		"bytes left":       {header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 8), "its header speaks of 4"},
		"another size":     {header(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), "not the F32 elements of shape [3]"},
		"huge shape":       {header(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), "not the F32 elements"},
		"negative shape":   {header(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4), "not that of safetensors"},
		"name twice":       {header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), `the tensor "a" twice`},
		"header of arrays": {header(`{"a":[1,2]}`, 0), "not that of safetensors"},
	}
}

// A file that lies about itself is refused with a reason, and nothing of it runs.
func TestHostileFiles(t *testing.T) {
	for name, file := range hostile(t) {
		path := filepath.Join(t.TempDir(), "model.pt")
		if err := os.WriteFile(path, file.content, 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := tensorfile.Open(path)
		if err == nil {
			for _, x := range f.Tensors {
				if err = x.Read(make([]byte, x.Bytes())); err != nil {
					break
				}
			}
			f.Close()
		}
		var data *corpus.DataError
		if !errors.As(err, &data) || data.Path != path || data.Hint == "" {
			t.Errorf("%s: error %v, want a DataError that names the file and a remedy", name, err)
		} else if !strings.Contains(err.Error(), file.want) {
			t.Errorf("%s: %v\nwant it to speak of %q", name, err, file.want)
		}
	}
}

// One dictionary under many names costs its names, not their product.
func TestManyNamesOfOneDictionary(t *testing.T) {
	var p tensortest.Pickle
	p.WriteString("\x80\x02")
	p.WriteString("}(")
	for i := range 2000 {
		p.Text(fmt.Sprint(i))
		p.Tensor("FloatStorage", "0", 4, 0, []int64{4}, []int64{1})
	}
	p.WriteString("uq\x010}(")
	for i := range 2000 {
		p.Text(fmt.Sprint(i))
		p.WriteString("h\x01")
	}
	p.WriteString("u.")
	path := filepath.Join(t.TempDir(), "model.pt")
	if err := os.WriteFile(path, records(map[string][]byte{"data.pkl": p.Bytes(), "data/0": make([]byte, 16)}), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := tensorfile.Open(path); err == nil || !strings.Contains(err.Error(), "more than 131072 tensors") {
		t.Errorf("error %v, want one about the number of tensors", err)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none.pt"), t.TempDir()} {
		_, err := tensorfile.Open(path)
		var data *corpus.DataError
		if !errors.As(err, &data) || data.Path != path {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzOpen opens and reads any bytes at all: an error or tensors no larger than
// the file, never a panic.
func FuzzOpen(f *testing.F) {
	for _, file := range hostile(f) {
		f.Add(file.content)
	}
	for _, name := range []string{"state.pt", "legacy.bin", "views.pt"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add(archive(tensor(4, 0, []int64{2, 2}, []int64{1, 2})))
	f.Add(header(`{"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},"__metadata__":{"format":"pt"}}`, 8))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := tensorfile.Parse(content)
		if err != nil {
			var data *corpus.DataError
			if !errors.As(err, &data) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		for name, x := range file.Tensors {
			if x.Bytes() > int64(len(content)) || x.Bytes() < 0 {
				t.Fatalf("%q has %d bytes in a file of %d", name, x.Bytes(), len(content))
			}
			raw := make([]byte, x.Bytes())
			if err := x.Read(raw); err == nil && x.DType.Float() {
				tensorfile.Float32s(make([]float32, x.Elements()), raw, x.DType)
			}
		}
	})
}

// Append is the inverse of Float32s, and rounds to the nearest, of two to the even.
func TestAppend(t *testing.T) {
	for _, dtype := range []tensorfile.DType{tensorfile.F16, tensorfile.BF16} {
		var raw []byte
		for i := range 1 << 16 {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(i))
		}
		values := make([]float32, 1<<16)
		tensorfile.Float32s(values, raw, dtype)
		again := tensorfile.Append(nil, values, dtype)
		for i, x := range values {
			got := binary.LittleEndian.Uint16(again[2*i:])
			if x == x && got != uint16(i) {
				t.Fatalf("%s: %g of %#x became %#x", dtype, x, i, got)
			}
			back := make([]float32, 1)
			tensorfile.Float32s(back, again[2*i:], dtype)
			if x != x && back[0] == back[0] {
				t.Fatalf("%s: a NaN of %#x became %g", dtype, i, back[0])
			}
			if i+1 >= 1<<15 || !(values[i+1]-x < 1e30) {
				continue
			}
			middle := x + (values[i+1]-x)/2
			want := uint16(i + i%2)
			if got := binary.LittleEndian.Uint16(tensorfile.Append(nil, []float32{middle}, dtype)); middle != x && got != want {
				t.Fatalf("%s: %g, between %#x and %#x, became %#x", dtype, middle, i, i+1, got)
			}
			above := math.Nextafter32(middle, values[i+1])
			if got := binary.LittleEndian.Uint16(tensorfile.Append(nil, []float32{above}, dtype)); above < values[i+1] && got != uint16(i+1) {
				t.Fatalf("%s: %g, just above the middle, became %#x, not %#x", dtype, above, got, i+1)
			}
		}
	}
	for x, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, -1e9: 0xfc00} {
		if got := binary.LittleEndian.Uint16(tensorfile.Append(nil, []float32{x}, tensorfile.F16)); got != want {
			t.Errorf("%g became %#x, want %#x", x, got, want)
		}
	}
	for _, dtype := range []tensorfile.DType{tensorfile.F32, tensorfile.F64} {
		values, got := []float32{1, -2.5, 0x1p-149}, make([]float32, 3)
		tensorfile.Float32s(got, tensorfile.Append(nil, values, dtype), dtype)
		if !slices.Equal(values, got) {
			t.Errorf("%s: %v became %v", dtype, values, got)
		}
	}
}
