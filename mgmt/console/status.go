package console

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	vswitch "vnetkit/switch"
)

// Codes of status lines are 1000 and an errno of Linux. Clients know those that
// begin with 10 only.
const (
	statusOK  = 1000
	maxStatus = 1099
)

// errnos says which errno an error of the switch is.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{vswitch.ErrNoPort, syscall.ENXIO},
	{vswitch.ErrPortExists, syscall.EEXIST},
	{vswitch.ErrLoop, syscall.ELOOP},
	{vswitch.ErrFull, syscall.ENOSPC},
	{vswitch.ErrInvalid, syscall.EINVAL},
	{vswitch.ErrClosed, syscall.EIO},
	{errors.ErrUnsupported, syscall.ENOSYS},
	{fs.ErrNotExist, syscall.ENOENT},
	{fs.ErrPermission, syscall.EACCES},
	{fs.ErrExist, syscall.EEXIST},
}

// status is the status line of a command that returned err.
func status(err error) string {
	if err == nil {
		return "1000 Success\n"
	}
	n := errnoOf(err)
	text := n.Error()
	return fmt.Sprintf("%d %s%s\n", statusOK+int(n), strings.ToUpper(text[:1]), text[1:])
}

func errnoOf(err error) syscall.Errno {
	var n syscall.Errno
	if errors.As(err, &n) && n != 0 && statusOK+int(n) <= maxStatus {
		return n
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.errno
		}
	}
	return syscall.EIO
}

// number reads a decimal number, or one in hexadecimal behind 0x. Listings print
// leading zeros, so they mean nothing.
func number(text string, lo, hi int) (int, error) {
	base, digits := 10, text
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		base, digits = 16, hex
	}
	n, err := strconv.ParseInt(digits, base, 32)
	if err != nil || strings.HasPrefix(digits, "+") || int(n) < lo || int(n) > hi {
		return 0, fmt.Errorf("%w: number %q: want %d to %d", syscall.EINVAL, text, lo, hi)
	}
	return int(n), nil
}

// onOff reads the 0 or 1 of a switch; as in the original every other number is
// on, too.
func onOff(text string) (bool, error) {
	n, err := number(text, -1<<31, 1<<31-1)
	return n != 0, err
}

// errMissing says that an argument is missing.
var errMissing = fmt.Errorf("%w: an argument is missing", syscall.EINVAL)

// words are the first n words of the command's argument, which must be there.
func (c *call) words(n int) ([]string, error) {
	list := strings.Fields(c.arg)
	if len(list) < n {
		return nil, errMissing
	}
	return list[:n], nil
}

// word is the first word of the argument, "" if there is none.
func (c *call) word() string {
	first, _, _ := strings.Cut(c.arg, " ")
	return first
}
