package console

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// prompt ends every answer. vdeterm waits for a piece that ends with it.
const prompt = "\nvde$ "

const farewell = "9999 END OF SESSION"

// errEnd says that a session ends, by logout or shutdown.
var errEnd = errors.New("end of session")

// session is one dialog.
type session struct {
	*Console
	out     *output
	prompts bool
	stdio   bool  // on standard input, or a script: nobody can log out
	depth   int   // scripts that load scripts
	news    *news // what debug/add asked for
	halt    bool  // shutdown was asked for
}

func (c *Console) newSession(out *output) *session {
	return &session{Console: c, out: out, news: newNews(c)}
}

// call is a command in the making.
type call struct {
	*session
	ctx context.Context
	arg string
}

func (c *call) printf(format string, args ...any) { c.out.printf(format, args...) }

func (s *session) prompt() {
	if s.prompts {
		s.out.printf("%s", prompt)
	}
	_ = s.out.flush() // an error stays, and run sees it
}

// run answers lines until there are no more, or the session ends otherwise.
func (s *session) run(ctx context.Context, lines <-chan line) {
	s.prompt()
	defer s.news.stop()
	for s.out.err == nil {
		select {
		case l, ok := <-lines:
			if !ok || s.answer(ctx, l) != nil {
				return
			}
		case <-s.news.happened:
			s.news.tell(s.out)
			_ = s.out.flush()
		case <-s.news.tick:
			s.news.tell(s.out)
			_ = s.out.flush()
		case <-ctx.Done():
			return
		}
	}
}

// answer carries out a line and writes the answer and the prompt. It returns
// errEnd when there is nothing more to say.
func (s *session) answer(ctx context.Context, l line) error {
	s.out.sent = false
	err := fmt.Errorf("%w: a line of more than %d bytes", syscall.E2BIG, maxLine)
	if l.long {
		s.out.printf("%s", status(err))
	} else if !isComment(l.text) {
		err = s.execute(ctx, l.text)
	}
	if errors.Is(err, errEnd) {
		s.out.printf("%s", farewell)
		err := errors.Join(s.out.flush(), errEnd)
		if s.halt {
			s.opt.Shutdown()
		}
		return err
	}
	s.prompt()
	return nil
}

// execute carries out one command and writes its answer, without the prompt.
// What happened because of it is told before the answer, as the original does it.
func (s *session) execute(ctx context.Context, text string) error {
	text = trimLine(text)
	cmd, arg := s.match(text)
	if cmd == nil {
		err := fmt.Errorf("%w: no command %q", syscall.ENOSYS, text[:min(len(text), 100)])
		s.out.printf("%s", status(err))
		return err
	}
	began := len(s.out.buf)
	if cmd.data {
		s.out.printf("0000 DATA END WITH '.'\n")
	}
	err := cmd.run(&call{session: s, ctx: ctx, arg: arg})
	if errors.Is(err, errEnd) {
		return err
	}
	if cmd.data {
		s.out.printf(".\n")
	}
	if !errors.Is(err, errSilent) {
		s.out.printf("%s", status(err))
	}
	if !s.out.sent {
		s.news.tellBefore(s.out, began)
	}
	if err != nil && !errors.Is(err, errSilent) {
		s.log.Debug("console command failed", "command", text, "error", err)
	}
	return err
}

// errSilent says that a command has nothing to answer.
var errSilent = errors.New("no answer")

func (c *call) logout() error {
	if c.stdio {
		return errSilent
	}
	return errEnd
}

func (c *call) shutdown() error {
	if c.opt.Shutdown == nil {
		return fmt.Errorf("%w: this daemon does not end by its console", syscall.EPERM)
	}
	c.halt = true
	return errEnd
}

// uptime is whole seconds.
func (c *Console) uptime() int { return int(time.Since(c.started) / time.Second) }
