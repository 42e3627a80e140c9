WebSocket = require 'ws'

url = "ws://127.0.0.1:#{process.env.APP_PORT}/v1/realtime?intent=transcription&model=whisper-1"
socket = new WebSocket url, headers: { Authorization: 'Bearer sk-test-key-1234567890' }
socket.on 'message', (data) ->
  console.log JSON.parse(data).type
  socket.close()
