# The page for a team:  docker build -t resnet-view .  then see deploy/compose.yaml.
#
# Everything is installed while the image is built; a running container asks no other host for
# anything, runs as nobody in particular, and needs to write to /photos and /tmp alone.

FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.txt .
# An index with CPU builds of PyTorch makes the image some gigabytes smaller where there is no GPU:
# --build-arg TORCH_INDEX=…
ARG TORCH_INDEX=
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements.txt

FROM python:3.11-slim
# A user without a name elsewhere, without a shell, without a home to write to.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin resnet \
 && install -d -o resnet -g resnet -m 0700 /photos
COPY --from=build /venv /venv
WORKDIR /app
# Root's own, so the app cannot change itself.
COPY app.py ./
COPY resnet ./resnet
COPY assets ./assets
RUN /venv/bin/python -m compileall -q resnet app.py

ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    RESNET_HOST=0.0.0.0 \
    RESNET_FOLDER=/photos
# RESNET_AUTH (a users file), RESNET_AUTH_HEADER with RESNET_TRUSTED_PROXY, or RESNET_ALLOW_OPEN=yes
# must be set as well: open to everybody is never the default.

USER 10001
EXPOSE 7860
VOLUME /photos
STOPSIGNAL SIGTERM
# Asks the model itself; an answer is kept for some seconds, so this costs next to nothing.
HEALTHCHECK --interval=30s --timeout=25s --start-period=120s --retries=3 \
  CMD ["python", "-m", "resnet", "check", "--quiet"]
CMD ["python", "app.py"]
