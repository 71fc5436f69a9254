package link

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Spec is what the user asked for: kind:address[,key=value]...
//
// A comma inside an address or a value is written twice, as in QEMU's options.
type Spec struct {
	Kind string
	Addr string
	Opts []Opt // in the order given
}

// Opt is one key=value of a Spec.
type Opt struct{ Key, Value string }

// ParseSpec takes s apart. It knows no kinds and no keys.
func ParseSpec(s string) (Spec, error) {
	if strings.ContainsRune(s, 0) {
		return Spec{}, Errorf("parse port %q: NUL byte", s)
	}
	fields := splitCommas(s)
	kind, addr, ok := strings.Cut(fields[0], ":")
	if !ok || kind == "" {
		return Spec{}, Errorf("parse port %q: want kind:address[,key=value]..., for example stream:unix:/run/vm.sock", s)
	}
	spec := Spec{Kind: kind, Addr: addr}
	for _, f := range fields[1:] {
		key, value, ok := strings.Cut(f, "=")
		if !ok || key == "" {
			return Spec{}, Errorf("parse port %q: %q is not key=value (write a comma in a path twice)", s, f)
		}
		if spec.Has(key) {
			return Spec{}, Errorf("parse port %q: %s is given twice", s, key)
		}
		spec.Opts = append(spec.Opts, Opt{key, value})
	}
	return spec, nil
}

// splitCommas cuts s at single commas and turns double ones into one.
func splitCommas(s string) []string {
	const comma = "\x00" // ParseSpec lets no NUL in
	fields := strings.Split(strings.ReplaceAll(s, ",,", comma), ",")
	for i := range fields {
		fields[i] = strings.ReplaceAll(fields[i], comma, ",")
	}
	return fields
}

// Has tells whether key is among s's options.
func (s Spec) Has(key string) bool {
	return slices.ContainsFunc(s.Opts, func(o Opt) bool { return o.Key == key })
}

// Take removes key from s and returns its value.
func (s *Spec) Take(key string) (value string, ok bool) {
	i := slices.IndexFunc(s.Opts, func(o Opt) bool { return o.Key == key })
	if i < 0 {
		return "", false
	}
	value = s.Opts[i].Value
	s.Opts = slices.Delete(slices.Clone(s.Opts), i, i+1)
	return value, true
}

// With is s with another value of key, which it has.
func (s Spec) With(key, value string) Spec {
	s.Opts = slices.Clone(s.Opts)
	for i := range s.Opts {
		if s.Opts[i].Key == key {
			s.Opts[i].Value = value
		}
	}
	return s
}

// TakeSwitch removes key, whose value is on or off, and returns it, or def if
// it is not there.
func (s *Spec) TakeSwitch(key string, def bool) (bool, error) {
	v, ok := s.Take(key)
	if !ok {
		return def, nil
	}
	switch v {
	case "on", "yes", "true", "1":
		return true, nil
	case "off", "no", "false", "0":
		return false, nil
	}
	return false, Errorf("%s=%s: want on or off", key, v)
}

// ErrSpec is in every error that says what is wrong with a Spec, as opposed to
// what went wrong in opening it.
var ErrSpec = errors.New("bad port spec")

// Errorf is fmt.Errorf for what is wrong with a Spec.
func Errorf(format string, args ...any) error {
	return &specError{fmt.Errorf(format, args...)}
}

// specError is an error that is also ErrSpec and does not say so twice.
type specError struct{ error }

func (e *specError) Is(target error) bool { return target == ErrSpec }
func (e *specError) Unwrap() error        { return e.error }

// KeyError says that a Spec has a key that nobody understands.
type KeyError struct {
	Kind, Key string
	Known     []string // what would have been understood
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("unknown key %q for a %s port; known keys: %s", e.Key, e.Kind, strings.Join(e.Known, " "))
}

// Is makes a KeyError an ErrSpec.
func (e *KeyError) Is(target error) bool { return target == ErrSpec }

// Done fails with a KeyError if an option is left that nobody took; known are
// the keys that would have been understood.
func (s Spec) Done(known ...string) error {
	if len(s.Opts) == 0 {
		return nil
	}
	return &KeyError{s.Kind, s.Opts[0].Key, known}
}

// Sorted is s with its keys in the order of their names: two specs that say the
// same are then the same text.
func (s Spec) Sorted() Spec {
	s.Opts = slices.Clone(s.Opts)
	slices.SortFunc(s.Opts, func(a, b Opt) int { return cmp.Compare(a.Key, b.Key) })
	return s
}

// String writes s so that ParseSpec reads it back.
func (s Spec) String() string {
	esc := func(t string) string { return strings.ReplaceAll(t, ",", ",,") }
	var b strings.Builder
	b.WriteString(esc(s.Kind) + ":" + esc(s.Addr))
	for _, o := range s.Opts {
		b.WriteString("," + esc(o.Key) + "=" + esc(o.Value))
	}
	return b.String()
}
