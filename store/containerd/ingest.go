package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc"

	"github.com/dhowhq/dhow/internal/strictjson"
)

const (
	// chunk is how many bytes are sent in one message.
	chunk = 1 << 20
	// lockedTime is how long an ingest is waited for that another process writes: one
	// that was just killed may seem to.
	lockedTime = time.Second
	// lockedPause is between two tries.
	lockedPause = 20 * time.Millisecond
)

// ingest is an ingest that is open for writing, until it has ended: then what was written
// is there, and can be opened again by its ref. It is not safe for concurrent use.
type ingest struct {
	ref    string
	stream grpc.BidiStreamingClient[contentapi.WriteContentRequest, contentapi.WriteContentResponse]
	cancel context.CancelFunc
	ended  bool   // the stream
	freed  func() // called when it ends, if not nil
	offset int64
	digest digest.Digest // SHA-256 of what there is
}

// openIngest opens one that is to have so many bytes, 0 if that is not known. A lease,
// if one is given, holds the content from the moment when it is committed.
func (s *Store) openIngest(ctx context.Context, ref string, total int64, lease string) (*ingest, error) {
	for deadline := time.Now().Add(lockedTime); ; {
		in, err := s.tryIngest(ctx, ref, total, lease)
		if err == nil || !errdefs.IsUnavailable(err) || time.Now().After(deadline) {
			return in, err
		}
		select {
		case <-time.After(lockedPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// maxPuts is how many processes can put a blob at once.
const maxPuts = 16

// openPut opens an ingest for Put, as openIngest does: that which an earlier one has left,
// but where another process writes that one of its own. It keeps what it has put until it
// publishes that: two processes which waited for each other would do so forever.
func (s *Store) openPut(ctx context.Context, d digest.Digest, total int64, lease string) (*ingest, error) {
	in, err := s.openIngest(ctx, putRef(d, 0), total, lease)
	for number := 1; number < maxPuts && errdefs.IsUnavailable(err); number++ {
		in, err = s.tryIngest(ctx, putRef(d, number), total, lease)
	}
	return in, err
}

func (s *Store) tryIngest(ctx context.Context, ref string, total int64, lease string) (*ingest, error) {
	alive, cancel := context.WithCancel(s.alive)
	if lease != "" {
		alive = underLease(alive, lease)
	}
	in := &ingest{ref: ref, cancel: cancel}
	opened := context.AfterFunc(ctx, cancel)
	var err error
	in.stream, err = s.content.Write(alive) //nolint:contextcheck // it outlives the call
	if err == nil {
		err = in.do(ctx, &contentapi.WriteContentRequest{Action: contentapi.WriteAction_STAT, Ref: ref, Total: total})
	}
	if !opened() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return in, nil
}

// do sends a message and takes the answer. When the context ends the stream does too,
// and with it the hold on the ref; so it does after any error.
func (in *ingest) do(ctx context.Context, req *contentapi.WriteContentRequest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if in.ended {
		return fmt.Errorf("writing %s, whose stream has ended: %w", strictjson.Quote(in.ref), errdefs.ErrUnavailable)
	}
	ended := context.AfterFunc(ctx, in.cancel)
	err := in.stream.Send(req)
	var answer *contentapi.WriteContentResponse
	if err == nil || errors.Is(err, io.EOF) { // then the answer has the error
		answer, err = in.stream.Recv()
	}
	if !ended() {
		in.end()
		return ctx.Err()
	}
	if err != nil {
		in.end()
		return fmt.Errorf("writing %s: %w", strictjson.Quote(in.ref), errgrpc.ToNative(err))
	}
	in.offset = answer.GetOffset()
	in.digest = digest.Digest(answer.GetDigest())
	return nil
}

// write appends bytes.
func (in *ingest) write(ctx context.Context, p []byte) (n int, err error) {
	for part := range slices.Chunk(p, chunk) {
		at := in.offset
		err := in.do(ctx, &contentapi.WriteContentRequest{Action: contentapi.WriteAction_WRITE, Offset: at, Data: part})
		if err != nil {
			return n, err
		}
		n += int(in.offset - at)
		if in.offset-at != int64(len(part)) {
			return n, fmt.Errorf("writing %s: %w", strictjson.Quote(in.ref), io.ErrShortWrite)
		}
	}
	return n, nil
}

// reset forgets what was written.
func (in *ingest) reset(ctx context.Context) error {
	if in.offset == 0 {
		return nil
	}
	return in.do(ctx, &contentapi.WriteContentRequest{Action: contentapi.WriteAction_WRITE})
}

// commit makes content of what was written. The ingest is closed, whatever comes of it.
func (in *ingest) commit(ctx context.Context, d digest.Digest, labels map[string]string) error {
	size := in.offset
	err := in.do(ctx, &contentapi.WriteContentRequest{
		Action: contentapi.WriteAction_COMMIT, Offset: size, Total: size, Expected: d.String(), Labels: labels,
	})
	in.close()
	if errdefs.IsFailedPrecondition(err) { // its words for another digest
		return fmt.Errorf("%w: %w", err, errdefs.ErrDataLoss)
	}
	return err
}

// end ends the stream.
func (in *ingest) end() {
	in.cancel()
	if !in.ended && in.freed != nil {
		in.freed()
	}
	in.ended = true
}

// close keeps what was written. It waits until the daemon has let go of the ref.
func (in *ingest) close() {
	if in.ended {
		return
	}
	defer in.end()
	if in.stream.CloseSend() != nil {
		return
	}
	timeout := time.AfterFunc(patience, in.cancel)
	defer timeout.Stop()
	for {
		if _, err := in.stream.Recv(); err != nil {
			return // the end, however it came: what was written was answered before
		}
	}
}
