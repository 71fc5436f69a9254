package mgmt_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// TestMain also is the program that calls a switch as another user.
func TestMain(m *testing.M) {
	if socket := os.Getenv("MGMT_TEST_SOCKET"); socket != "" {
		os.Exit(callAs(socket, os.Getenv("MGMT_TEST_REQUEST")))
	}
	goleak.VerifyTestMain(m)
}

// callAs makes the request "METHOD PATH BODY" and prints the answer's status
// and body.
func callAs(socket, request string) int {
	if n, err := strconv.Atoi(request); err == nil {
		return holdOpen(socket, n)
	}
	f := strings.SplitN(request, " ", 3)
	status, body, err := exchange(socket, f[0], f[1], f[2])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(status, body)
	return 0
}

// holdOpen begins n requests and finishes none of them until it is told to end.
func holdOpen(socket string, n int) int {
	var open []net.Conn
	for i := range n {
		nc, err := net.Dial("unix", socket)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		// Some stop in the header, some in the body, some before both.
		_, _ = io.WriteString(nc, []string{"GET /v1/in", "PATCH /v1/ports/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{\"mtu\":", ""}[i%3])
		open = append(open, nc)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, nc := range open {
		nc.Close()
	}
	return 0
}

// exchange makes one request on a connection of its own, with nothing between
// the test and the socket.
func exchange(socket, method, path, body string) (status int, answer string, err error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return 0, "", err
	}
	defer nc.Close()
	// The server may answer, and shut, before it has read everything.
	_, werr := fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		return 0, "", errors.Join(werr, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// do is exchange that must work.
func do(t *testing.T, s *mgmttest.Switch, method, path, body string) (status int, answer string) {
	t.Helper()
	status, answer, err := exchange(filepath.Join(s.Dir, api.SocketName), method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, answer
}

// get decodes the answer to a GET, strictly.
func get[T any](t *testing.T, s *mgmttest.Switch, path string) T {
	t.Helper()
	status, answer := do(t, s, "GET", path, "")
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, answer)
	}
	return decode[T](t, answer)
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("decode %s into %T: %v", text, v, err)
	}
	return v
}

// failed checks that an answer is an error with this code, and returns it.
func failed(t *testing.T, status int, answer string, code api.Code) *api.Error {
	t.Helper()
	f := decode[api.Failure](t, answer)
	if f.Error == nil || f.Error.Code != code || status != code.Status() || f.Error.Message == "" {
		t.Fatalf("got %d %s, want %d with code %s", status, answer, code.Status(), code)
	}
	return f.Error
}
