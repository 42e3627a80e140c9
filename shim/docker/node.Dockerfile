FROM node:24-slim
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
COPY . .
# An absolute path: the program may start others in another folder.
ENV NODE_OPTIONS="--require /app/node_modules/rtstt-shim/register.cjs"
USER 1000:1000
CMD ["node", "app.mjs"]
