"""A server of models on loopback, in the place of a paid one: it counts, refuses and stalls."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORD = "test-word-1234"  # stands for a key
CLICK = "Thought: .\nAction: CLICK(x=0.50, y=0.50)"


class Fake(ThreadingHTTPServer):
    """Answers CLICK; ``faults`` are given first, each (status, headers, body) or "drop"."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.asked, self.times, self.lock = [], [], [], threading.Lock()
        self.text, self.most, self.now = CLICK, 0, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def bodies(self) -> list[dict]:
        return [body for _, _, body in self.asked]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server
        with server.lock:
            server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            server.times.append(time.monotonic())
            fault = server.faults.pop(0) if server.faults else None
            server.now += 1
            server.most = max(server.most, server.now)
        time.sleep(0.02)
        with server.lock:
            server.now -= 1
        if fault == "drop":
            self.connection.close()
            return
        self.reply(*(fault or (200, {}, json.dumps(self.answer()))))

    def answer(self) -> dict:
        if self.path.endswith("/v1/messages"):
            text = [{"type": "thinking", "thinking": "DONE()"}, {"type": "text", "text": self.server.text}]
            return {"content": text, "stop_reason": "end_turn", "usage": {"input_tokens": 100, "output_tokens": 10}}
        choice = {"message": {"role": "assistant", "content": self.server.text}, "finish_reason": "stop"}
        return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}

    def reply(self, status: int, headers: dict, text: str | bytes):
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        for name, value in ({"content-length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_): ...


def openai_reply(content: object = CLICK, **usage: object) -> tuple[int, dict, str]:
    """A fault that is none: status, headers and body of an answer."""
    usage = usage or {"prompt_tokens": 100, "completion_tokens": 10}
    reply = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "usage": usage}
    return (200, {}, json.dumps(reply))
